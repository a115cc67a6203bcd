"""Parquet, read in batches; label names are taken from the schema where `datasets` wrote them there."""

import importlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from tunesmith.core.errors import DataError, MissingExtraError, Place
from tunesmith.core.format import Match, Sample
from tunesmith.prepare.formats._faults import RowFault
from tunesmith.prepare.formats._record_format import SAMPLED, RawRow, RecordFormat
from tunesmith.prepare.formats._records import Record
from tunesmith.prepare.text_files import unreadable

BATCH = 4096
"""Rows held at a time."""


class Parquet(RecordFormat):
    """A table in columns; a row has no line, so its number (from 1) stands for one."""

    def resembles(self, sample: Sample) -> float:
        """By its first four bytes."""
        return 1.0 if sample.magic.startswith(b"PAR1") else 0.0

    def sniff(self, sample: Sample) -> Match | None:
        """Columns from the first rows, label names from the schema."""
        if not self.resembles(sample):
            return None
        table = _opened(sample.path)
        rows = list(islice(_records(table, sample.path, None), SAMPLED))
        match = self.filled(rows, sample.path)
        found = match.format
        assert isinstance(found, Parquet)
        names = _class_names(table, found.columns.label or found.columns.tags)
        if not names or self.labelling.label_names:
            return match
        again = self.model_copy(update={"labelling": self.labelling.model_copy(update={"label_names": names})})
        return again.filled(rows, sample.path, notes=("label names from the schema",))

    @property
    def ready(self) -> bool:
        """Whether the task is known."""
        return self.task is not None

    def rows(self, path: Path) -> Iterator[RawRow]:
        """Every row, with the columns that are wanted."""
        wanted = {name.split(".")[0] for _, value in self.columns for name in _listed(value)}
        for number, record in enumerate(_records(_opened(path), path, sorted(wanted)), 1):
            yield _TableRow(number, record)


@dataclass(slots=True)
class _TableRow(RawRow):
    line: int
    content: Record

    def record(self) -> Record:
        return self.content

    def place(self, fault: RowFault) -> tuple[int, int | None]:
        return self.line, None

    def text(self) -> str:
        return json.dumps(self.content, default=str, ensure_ascii=False)


def _listed(value: object) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else (value,) if isinstance(value, str) else ()


def _opened(path: Path) -> Any:  # noqa: ANN401 - a library without types
    try:
        module = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise MissingExtraError(
            "reading Parquet needs pyarrow",
            code="TS-DATA-040",
            place=Place(file=str(path)),
            fix='pip install "tunesmith[data]"',
        ) from None
    try:
        return module.ParquetFile(path)
    except OSError as error:
        if error.errno is not None:
            raise unreadable(path, error) from None
        raise _damaged(path, error) from None
    except Exception as error:  # the library's own errors have no common base beside this
        raise _damaged(path, error) from None


def _records(table: Any, path: Path, columns: Sequence[str] | None) -> Iterator[dict[str, Any]]:  # noqa: ANN401
    present = set(table.schema_arrow.names)
    chosen = None if columns is None else [name for name in columns if name in present]
    try:
        for batch in table.iter_batches(batch_size=BATCH, columns=chosen):
            yield from batch.to_pylist()
    except OSError as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> DataError:
    first = str(error).split("\n")[0]
    return DataError(
        f"the Parquet file is damaged: {first}",
        code="TS-DATA-037",
        place=Place(file=str(path)),
        fix="write or download it again.",
    )


def _class_names(table: Any, column: str | None) -> tuple[str, ...]:  # noqa: ANN401
    """Names of a column that `datasets` wrote as a class label (or a list of them)."""
    written = (table.schema_arrow.metadata or {}).get(b"huggingface")
    if not written or not column:
        return ()
    feature = json.loads(written).get("info", {}).get("features", {}).get(column, {})
    for inner in (feature, feature.get("feature", {}) if isinstance(feature, dict) else {}):
        if isinstance(inner, dict) and isinstance(inner.get("names"), list):
            return tuple(str(name) for name in inner["names"])
    return ()
