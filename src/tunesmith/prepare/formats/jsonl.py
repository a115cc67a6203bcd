"""JSON lines: one object a line, whatever its keys are called."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from tunesmith.core.example import Example
from tunesmith.core.format import Match, Reject, Sample
from tunesmith.prepare.formats._faults import SKIP, RowFault, check_characters, refuse
from tunesmith.prepare.formats._json_rows import parsed
from tunesmith.prepare.formats._record_format import SAMPLED, RecordFormat, empty_split
from tunesmith.prepare.formats._records import Record, value_of
from tunesmith.prepare.text_files import lines_of, sample_of


class Jsonl(RecordFormat):
    """`{"text": ..., "label": ...}` on every line; blank lines are skipped."""

    encoding: str | None = None
    """Encoding of the file; detected where absent."""

    def resembles(self, sample: Sample) -> float:
        """Whether the first line is a whole object."""
        first = list(islice((line for line in sample.lines if line.strip()), 5))
        if not first or not first[0].lstrip().startswith("{"):
            return 0.0
        return 0.95 if sample.suffix in (".jsonl", ".ndjson") or any(map(_is_object, first)) else 0.0

    def sniff(self, sample: Sample) -> Match | None:
        """Columns from the sound lines of the sample."""
        if not sample.encoding:
            return None
        rows: list[Record] = []
        for line in sample.lines:
            if len(rows) >= SAMPLED:
                break
            if line.strip() and (record := _record_or_none(line)) is not None and self.chosen(record):
                rows.append(record)
        if not rows:
            self._refuse_all(sample)
        return self.filled(rows, sample.path, notes=sample.notes, also={"encoding": sample.encoding})

    def _refuse_all(self, sample: Sample) -> None:
        """Nothing could be sampled: say why the first line cannot be read, if that is the reason."""
        for number, line in enumerate(sample.lines, 1):
            if line.strip():
                try:
                    _record(line)
                except RowFault as fault:
                    raise fault.located(sample.path, number, _column(line, fault)) from None
        if self.split:
            raise empty_split(sample.path, self.split, ())

    def read(self, path: Path, *, reject: Reject | None = None) -> Iterator[Example]:
        """One example a line."""
        if self.encoding is None:
            yield from self.completed(path, self.sniff(sample_of(path))).read(path, reject=reject)
            return
        reader = self.reader(path)
        found = False
        splits: dict[str, None] = {}
        for number, line in enumerate(lines_of(path, self.encoding), 1):
            if line.isspace():
                continue
            try:
                record = _record(line)
                if self.split:
                    splits[str(value_of(record, self.columns.split_column or ""))] = None
                    if not self.chosen(record):
                        continue
                    found = True
                example = reader.example(record, number)
            except RowFault as fault:
                refuse(fault.located(path, number, _column(line, fault)), line, reject)
                continue
            yield example
        if self.split and not found:
            raise empty_split(path, self.split, list(splits))


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


def _record_or_none(line: str) -> Record | None:
    try:
        return _record(line)
    except RowFault:
        return None


def _is_object(line: str) -> bool:
    return _record_or_none(line) is not None


def _column(line: str, fault: RowFault) -> int:
    """Where the key at fault stands in the line, else where the fault itself does."""
    key = fault.key.rpartition(".")[2] if fault.key else None
    if key is None:
        return fault.offset + 1
    return max(line.find(f'"{key}"'), 0) + 1
