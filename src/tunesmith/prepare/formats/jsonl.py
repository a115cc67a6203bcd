"""JSON lines: one object a line, whatever its keys are called."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from tunesmith.core.format import Match, Sample
from tunesmith.prepare.formats._faults import SKIP, RowFault, check_characters
from tunesmith.prepare.formats._json_rows import parsed
from tunesmith.prepare.formats._record_format import RawRow, RecordFormat
from tunesmith.prepare.formats._records import Record
from tunesmith.prepare.text_files import lines_of


class Jsonl(RecordFormat):
    """`{"text": ..., "label": ...}` on every line; blank lines are skipped."""

    encoding: str | None = None
    """Encoding of the file; detected where absent."""

    def resembles(self, sample: Sample) -> float:
        """Whether the first line is a whole object."""
        first = list(islice((line for line in sample.lines if line.strip()), 5))
        if not first or not first[0].lstrip().startswith("{"):
            return 0.0
        if len(first) == 1 and sample.suffix == ".json":
            return 0.5  # a whole document in one line is likelier
        return 0.95 if sample.suffix in (".jsonl", ".ndjson") or any(map(_is_object, first)) else 0.0

    def sniff(self, sample: Sample) -> Match | None:
        """Columns from the sound lines of the sample."""
        if not sample.encoding:
            return None
        rows = self.sampled(_rows(sample.lines), sample.path)
        return self.filled(rows, sample.path, notes=sample.notes, also={"encoding": sample.encoding})

    @property
    def ready(self) -> bool:
        """Whether encoding and task are known."""
        return None not in (self.encoding, self.task)

    def rows(self, path: Path) -> Iterator[RawRow]:
        """Every line that is not blank."""
        yield from _rows(lines_of(path, self.encoding or "utf-8-sig"))


@dataclass(slots=True)
class _Line(RawRow):
    line: int
    content: str

    def record(self) -> Record:
        return _record(self.content)

    def place(self, fault: RowFault) -> tuple[int, int | None]:
        """Where the key at fault stands in the line, else where the fault itself does."""
        if fault.key is None:
            return self.line, fault.offset + 1
        key = fault.key.rpartition(".")[2]
        return self.line, max(self.content.find(f'"{key}"'), 0) + 1

    def text(self) -> str:
        return self.content


def _rows(lines: Iterable[str]) -> Iterator[RawRow]:
    for number, line in enumerate(lines, 1):
        if not line.isspace():
            yield _Line(number, line)


def _record(line: str) -> Record:
    if not line.isascii() or "\0" in line:
        check_characters(line, None)
    value = parsed(line)
    if not isinstance(value, dict):
        raise RowFault(
            "the line is JSON but not an object",
            code="TS-DATA-021",
            fix=f'write {{"text": ..., "label": ...}} on every line, {SKIP}.',
        )
    return value


def _is_object(line: str) -> bool:
    try:
        _record(line)
    except RowFault:
        return False
    return True
