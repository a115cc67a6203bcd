"""Excel workbooks. A number that the sheet shows with leading zeros (`000430`) is read as it is shown."""

import importlib
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

from tunesmith.core.errors import ConfigError, DataError, MissingExtraError, Place
from tunesmith.core.format import Match, Sample
from tunesmith.prepare.formats._faults import RowFault
from tunesmith.prepare.formats._guess import listed
from tunesmith.prepare.formats._record_format import SAMPLED, RawRow, RecordFormat
from tunesmith.prepare.formats._records import Record
from tunesmith.prepare.text_files import unreadable

_ZEROS = re.compile(r"0{2,}")
Cells = tuple[int, list[str | None]]
"""The number of a row and its cells as text."""


class Xlsx(RecordFormat):
    """The first sheet, or the one named; its first filled row names the columns."""

    sheet: str | None = None
    """Name of the sheet; the first where absent."""

    def resembles(self, sample: Sample) -> float:
        """By its first bytes and its name."""
        return 1.0 if sample.magic.startswith(b"PK") and sample.suffix in (".xlsx", ".xlsm") else 0.0

    def sniff(self, sample: Sample) -> Match | None:
        """Columns from the first rows."""
        if not sample.magic.startswith(b"PK"):
            return None
        rows = self.sampled(islice(self.rows(sample.path), SAMPLED), sample.path)
        return self.filled(rows, sample.path)

    @property
    def ready(self) -> bool:
        """Whether the task is known."""
        return self.task is not None

    def rows(self, path: Path) -> Iterator[RawRow]:
        """Every filled row below the first; line and column are those of the sheet."""
        rows = _rows(path, self.sheet)
        names = _names(next(rows, None), path)
        for number, cells in rows:
            yield _SheetRow(number, names, cells)


@dataclass(slots=True)
class _SheetRow(RawRow):
    line: int
    names: list[str]
    cells: list[str | None]

    def record(self) -> Record:
        return dict(zip_longest(self.names, self.cells[: len(self.names)]))

    def place(self, fault: RowFault) -> tuple[int, int | None]:
        return self.line, self.names.index(fault.key) + 1 if fault.key in self.names else 1

    def text(self) -> str:
        return "\t".join(cell or "" for cell in self.cells)


def _names(first: Cells | None, path: Path) -> list[str]:
    if first is None:
        raise DataError(
            "the sheet is empty", code="TS-DATA-004", place=Place(file=str(path)), fix="give at least one labelled row."
        )
    names = [(cell or "").strip() or f"column {index}" for index, cell in enumerate(first[1], 1)]
    twice = next((name for index, name in enumerate(names) if name in names[:index]), None)
    if twice is not None:
        raise DataError(
            f"two columns are called {twice!r}",
            code="TS-DATA-010",
            place=Place(file=str(path), line=first[0], column=names.index(twice) + 1),
            fix="rename one.",
        )
    return names


def _rows(path: Path, sheet: str | None) -> Iterator[Cells]:
    """The filled rows of a sheet."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library warns about styles that it does not know
        book = _opened(path)
        try:
            if sheet is not None and sheet not in book.sheetnames:
                raise ConfigError(
                    f"{path.name} has no sheet {sheet!r}",
                    code="TS-CONF-020",
                    place=Place(key="data.sheet"),
                    fix=f"it has: {listed(book.sheetnames)}.",
                )
            for number, row in enumerate((book[sheet] if sheet else book.worksheets[0]).iter_rows(), 1):
                cells = [_shown(cell) for cell in row]
                if any(cells):
                    yield number, cells
        finally:
            book.close()


def _opened(path: Path) -> Any:  # noqa: ANN401 - a library without types
    try:
        module = importlib.import_module("openpyxl")
    except ImportError:
        raise MissingExtraError(
            "reading Excel files needs openpyxl",
            code="TS-DATA-040",
            place=Place(file=str(path)),
            fix='pip install "tunesmith[data]"',
        ) from None
    try:
        return module.load_workbook(path, read_only=True, data_only=True)
    except OSError as error:
        raise unreadable(path, error) from None
    except Exception as error:  # zip, XML and the library's own errors have no common base beside this
        raise DataError(
            f"the workbook is damaged: {str(error).splitlines()[0] if str(error) else type(error).__name__}",
            code="TS-DATA-037",
            place=Place(file=str(path)),
            fix="open it in Excel and save it again as .xlsx, or as .csv.",
        ) from None


def _shown(cell: Any) -> str | None:  # noqa: ANN401
    """A cell as text, as the sheet shows it."""
    value = cell.value
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and _ZEROS.fullmatch(cell.number_format or ""):
        return str(value).zfill(len(cell.number_format))
    return str(value)
