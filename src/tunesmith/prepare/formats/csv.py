"""Delimited text: CSV, TSV and their relatives, with or without a header, with or without quotes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from tunesmith.core.format import Match, Sample
from tunesmith.prepare.formats._csv_dialect import guess_dialect, has_header
from tunesmith.prepare.formats._csv_rows import Dialect, Row, place_of, rows_of
from tunesmith.prepare.formats._faults import SKIP, RowFault
from tunesmith.prepare.formats._record_format import SAMPLED, RawRow, RecordFormat
from tunesmith.prepare.formats._records import Record
from tunesmith.prepare.text_files import lines_of


class Csv(RecordFormat):
    """One row a line, or more where quotes hold line breaks. Every field stays text: `007` is never a 7."""

    encoding: str | None = None
    """Encoding of the file; detected where absent."""
    delimiter: str | None = None
    """The character between fields; detected where absent."""
    quoting: bool | None = None
    """Whether `"` encloses fields; else it is a character like any other."""
    header: bool | None = None
    """Whether the first row names the columns; else they are 1, 2, 3, ..."""

    def resembles(self, sample: Sample) -> float:
        """By the ending of the name, else because nearly all rows have the same number of fields."""
        if not sample.encoding:
            return 0.0
        if sample.suffix in (".csv", ".tsv"):
            return 0.8
        _, share, _ = guess_dialect(sample.lines[:200], delimiter=self.delimiter, quoting=self.quoting)
        return 0.5 if share > 0.95 else 0.0

    def sniff(self, sample: Sample) -> Match | None:
        """Dialect, header and columns."""
        if not sample.encoding:
            return None
        dialect, _, notes = guess_dialect(sample.lines[:2000], delimiter=self.delimiter, quoting=self.quoting)
        rows = [row for row in islice(rows_of(sample.lines, dialect), SAMPLED) if row.fault is None]
        if not sample.complete and len(rows) > 1:
            rows.pop()  # it may be cut
        if not rows:
            return None
        header = has_header(rows) if self.header is None else self.header
        names = _names(rows[0], header=header, path=sample.path)
        if self.header is None:
            notes.append(f"the first row is {'a header' if header else 'data: columns are 1, 2, 3, ...'}")
        found = (_CsvRow(row, names, dialect) for row in rows[header:] if len(row.fields) == len(names))
        also = {
            "encoding": sample.encoding,
            "delimiter": dialect.delimiter,
            "quoting": dialect.quoting,
            "header": header,
        }
        return self.filled(
            self.sampled(found, sample.path),
            sample.path,
            notes=(*sample.notes, *notes),
            has_names=header,
            also=also,
        )

    @property
    def ready(self) -> bool:
        """Whether dialect and task are known."""
        return None not in (self.encoding, self.delimiter, self.quoting, self.header, self.task)

    def rows(self, path: Path) -> Iterator[RawRow]:
        """Every row below the header."""
        dialect = Dialect(self.delimiter or ",", bool(self.quoting))
        names: list[str] | None = None
        for row in rows_of(lines_of(path, self.encoding or "utf-8-sig"), dialect):
            if names is None:
                names = _names(row, header=bool(self.header), path=path)
                if self.header:
                    continue
            yield _CsvRow(row, names, dialect)


@dataclass(slots=True)
class _CsvRow(RawRow):
    row: Row
    names: Sequence[str]
    dialect: Dialect

    @property
    def line(self) -> int:  # type: ignore[override]
        return self.row.line

    def record(self) -> Record:
        if self.row.fault is not None:
            raise self.row.fault
        if len(self.row.fields) != len(self.names):
            raise _ragged(self.row, len(self.names), self.dialect)
        return dict(zip(self.names, self.row.fields, strict=True))

    def place(self, fault: RowFault) -> tuple[int, int | None]:
        if self.row.fault is not None:
            return self.row.line, fault.offset + 1
        if fault.code == "TS-DATA-010":
            return place_of(self.row, fault.offset, self.dialect)
        if fault.key in self.names:
            return place_of(self.row, self.names.index(fault.key), self.dialect)
        return self.row.line, 1

    def text(self) -> str:
        return "".join(self.row.raw)


def _names(row: Row, *, header: bool, path: Path) -> list[str]:
    """The names of the columns; one without a name is called after its position."""
    if row.fault is not None:
        raise row.fault.located(path, row.line, row.fault.offset + 1)
    if not header:
        return [str(index) for index in range(1, len(row.fields) + 1)]
    names = [cell.strip() or f"column {index}" for index, cell in enumerate(row.fields, 1)]
    twice = next((name for index, name in enumerate(names) if name in names[:index]), None)
    if twice is not None:
        raise RowFault(
            f"two columns are called {twice!r}",
            code="TS-DATA-010",
            fix="rename one, or set header = false and call the columns 1, 2, 3, ...",
        ).located(path, row.line, 1)
    return names


def _ragged(row: Row, width: int, dialect: Dialect) -> RowFault:
    has = len(row.fields)
    quotes = "put fields that hold the delimiter or a line break in quotes"
    if not dialect.quoting:
        quotes = "remove stray delimiters and line breaks from the fields"
    return RowFault(
        f"the row has {has} field{'' if has == 1 else 's'}, the first row {width}",
        code="TS-DATA-010",
        fix=f"{quotes}, {SKIP}.",
        offset=min(has, width),
    )
