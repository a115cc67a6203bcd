"""What formats whose rows have named columns share: the options, and how they are filled in from a sample."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from tunesmith.core.errors import DataError, Place
from tunesmith.core.example import Example
from tunesmith.core.format import Format, Match, Reject
from tunesmith.prepare.formats._choosing import choose
from tunesmith.prepare.formats._details import detail
from tunesmith.prepare.formats._faults import RowFault, refuse
from tunesmith.prepare.formats._guess import Guess, listed
from tunesmith.prepare.formats._options import Columns, Labelling, SpanRules, Tagging
from tunesmith.prepare.formats._records import Record, RecordReader, value_of
from tunesmith.prepare.text_files import sample_of

SAMPLED = 2000
"""Records a guess is made from."""
_SAME = {"valid": "dev", "validation": "dev", "val": "dev", "training": "train", "testing": "test"}


class RawRow(ABC):
    """A row as it stands in a file, not yet understood."""

    __slots__ = ()
    line: int
    """The line it begins on, from 1."""

    @property
    def spot(self) -> str:
        """What tells rows on one line apart."""
        return ""

    @abstractmethod
    def record(self) -> Record:
        """Its named columns.

        Raises:
            RowFault: it cannot be taken apart.
        """

    @abstractmethod
    def place(self, fault: RowFault) -> tuple[int, int | None]:
        """The line and column of a fault."""

    @abstractmethod
    def text(self) -> str:
        """The row as it stands in the file."""


class RecordFormat(Format):
    """A format whose rows are records."""

    columns: Columns = Columns()
    """Which column holds what."""
    labelling: Labelling = Labelling()
    """How labels are written."""
    tagging: Tagging = Tagging()
    """How word tags are written."""
    spans: SpanRules = SpanRules()
    """How entity spans and answers are written."""
    several: bool | None = None
    """Whether a row may have several labels."""
    split: str | None = None
    """Only the rows of this split (`train`, or several as `train+oos_train`); `file.csv#train` sets it."""

    @abstractmethod
    def rows(self, path: Path) -> Iterator[RawRow]:
        """The rows of a file that belong to the wanted part of a document."""

    @property
    @abstractmethod
    def ready(self) -> bool:
        """Whether every field that `rows` needs is filled in."""

    def read(self, path: Path, *, reject: Reject | None = None) -> Iterator[Example]:
        """One example a row. A format with open fields looks at the file first."""
        if not self.ready:
            yield from self._completed(path).read(path, reject=reject)
            return
        reader = self.reader(path)
        wanted, found = bool(self.split and self.columns.split_column), False
        present: dict[str, None] = {}
        for row in self.rows(path):
            try:
                record = row.record()
                if wanted:
                    present[self._split_of(record)] = None
                    if not self._chosen(record):
                        continue
                found = True
                example = reader.example(record, row.line, spot=row.spot)
            except RowFault as fault:
                refuse(fault.located(path, *row.place(fault)), row.text(), reject)
                continue
            yield example
        if wanted and not found:
            raise empty_split(path, self.split or "", list(present))

    def splits(self, path: Path) -> tuple[str, ...]:
        """The values of the column that names splits."""
        if self.columns.split_column is None:
            return ()
        found: dict[str, None] = {}
        for row in self.rows(path):
            try:
                found[self._split_of(row.record())] = None
            except RowFault:
                continue
        return tuple(name for name in found if name)

    def sampled(self, rows: Iterator[RawRow], path: Path) -> list[Record]:
        """The records of sound rows, those of the wanted split where there is one.

        Raises:
            DataError: no row is sound; it is the fault of the first.
        """
        records: list[Record] = []
        first: DataError | None = None
        for row in rows:
            try:
                records.append(row.record())
            except RowFault as fault:
                first = first or fault.located(path, *row.place(fault))
            if len(records) >= SAMPLED:
                break
        if not records and first is not None:
            raise first
        return [record for record in records if self._chosen(record)] or records

    def filled(
        self,
        rows: Sequence[Record],
        path: Path,
        *,
        notes: Sequence[str] = (),
        has_names: bool = True,
        also: dict[str, Any] | None = None,
    ) -> Match:
        """This format with everything that sampled records tell, and the fields of `also`.

        Raises:
            DataError: no task can be read from the rows.
            ConfigError: a given column is not there.
        """
        guess = Guess(
            path=path,
            rows=rows,
            task=self.task,
            columns=self.columns,
            labelling=self.labelling,
            tagging=self.tagging,
            spans=self.spans,
            asked=self.task is not None,
            has_names=has_names,
            notes=list(notes),
        )
        if not rows:
            raise guess.refusal("there is no row in it", code="TS-DATA-004", fix="give at least one labelled row.")
        choose(guess)
        detail(guess)
        self._note_splits(guess)
        task = guess.task or "text_classification"
        update = {
            "task": task,
            "columns": guess.columns,
            "labelling": guess.labelling,
            "tagging": guess.tagging,
            "spans": guess.spans,
            "several": (guess.several or None) if self.several is None else self.several,
        }
        return Match(self.model_copy(update=update | (also or {})), task, tuple(guess.notes))

    def reader(self, path: Path) -> RecordReader:
        """What turns the records of a file into examples."""
        return RecordReader(
            path,
            self.task or "text_classification",
            columns=self.columns,
            labelling=self.labelling,
            tagging=self.tagging,
            spans=self.spans,
            several=bool(self.several),
        )

    def _completed(self, path: Path) -> Self:
        match = self.sniff(sample_of(path))
        if match is None or not isinstance(match.format, type(self)):
            raise not_this_format(path, self.kind())
        return match.format

    def _split_of(self, record: Record) -> str:
        return str(value_of(record, self.columns.split_column or "") or "").strip()

    def _chosen(self, record: Record) -> bool:
        """Whether a record belongs to the wanted split."""
        column = self.columns.split_column
        if not self.split or not column:
            return True
        value = self._split_of(record).lower()
        return any(value == part or _SAME.get(value, value) == _SAME.get(part, part) for part in self.split.split("+"))

    def _note_splits(self, guess: Guess) -> None:
        name = guess.columns.split_column
        if not name or self.split:
            return
        parts = list(dict.fromkeys(guess.column(name).flat))
        guess.notes.append(f"{name!r} names splits ({listed(parts)}): {guess.path.name}#{parts[0]} reads one of them")


def not_this_format(path: Path, kind: str) -> DataError:
    """The refusal of a file that is of another format than the one asked for."""
    return DataError(
        f"cannot be read as {kind}",
        code="TS-DATA-007",
        place=Place(file=str(path)),
        fix="leave `format` out to have it detected, or correct it.",
    )


def empty_split(path: Path, split: str, present: Sequence[str]) -> DataError:
    """The refusal of a split that no row belongs to."""
    return DataError(
        f"no row belongs to the split {split!r}",
        code="TS-DATA-036",
        place=Place(file=str(path)),
        fix=f"the file has: {listed(present) or 'no splits'}.",
    )
