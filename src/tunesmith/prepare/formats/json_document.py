"""One JSON document: an array of records, or an object that holds one array for each split.

The text of the document is held while its records are read one at a time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tunesmith.core.errors import DataError, Place
from tunesmith.core.format import Match, Sample
from tunesmith.prepare.formats._faults import RowFault
from tunesmith.prepare.formats._guess import listed
from tunesmith.prepare.formats._json_walk import Broken, Item, Lines, items, record_of
from tunesmith.prepare.formats._nested_questions import holds_questions, questions_in
from tunesmith.prepare.formats._record_format import RawRow, RecordFormat, empty_split
from tunesmith.prepare.formats._records import Record
from tunesmith.prepare.text_files import lines_of, sample_of


class JsonDocument(RecordFormat):
    """`[{...}, ...]`, `[[text, label], ...]`, `{"train": [...], "test": [...]}`, or questions in paragraphs (SQuAD)."""

    encoding: str | None = None
    """Encoding of the file; detected where absent."""

    def resembles(self, sample: Sample) -> float:
        """By the bracket it opens with; a line that is a whole object of single values is one of JSON lines."""
        head = next((line.strip() for line in sample.lines if line.strip()), "")
        if not head.startswith(("[", "{")):
            return 0.7 if sample.suffix == ".json" and sample.encoding else 0.0
        lines = sum(1 for line in sample.lines if line.strip())
        if lines == 1 and head.startswith("{"):
            return 0.97 if sample.suffix != ".jsonl" and _holds_rows(head) else 0.3
        return 0.9 if sample.suffix == ".json" or head.startswith("[") else 0.6

    def sniff(self, sample: Sample) -> Match | None:
        """Columns from the first records of the wanted part."""
        if not sample.encoding:
            return None
        parts = _parts(_text(sample.path, sample.encoding), sample.path)
        notes = list(sample.notes)
        split = self.split
        if split is None and None not in parts and len(parts) > 1:
            split = "train" if "train" in parts else None
            if split is None:
                raise _which(sample.path, [str(part) for part in parts])
            notes.append(f"the document has the parts {listed([str(p) for p in parts])}: 'train' is read")
        chosen = self.model_copy(update={"split": split, "encoding": sample.encoding})
        rows = chosen.sampled(chosen.rows(sample.path), sample.path)
        if not rows:
            raise empty_split(sample.path, split or "", [str(part) for part in parts])
        has_names = not all(key.isdecimal() for key in rows[0])
        return chosen.filled(rows, sample.path, notes=notes, has_names=has_names)

    @property
    def ready(self) -> bool:
        """Whether encoding and task are known."""
        return None not in (self.encoding, self.task)

    def splits(self, path: Path) -> tuple[str, ...]:
        """The keys that hold records, or the values of the column that names splits."""
        parts = _parts(_text(path, self.encoding or sample_of(path).encoding), path)
        keys = tuple(str(part) for part in parts if part is not None)
        return keys if len(keys) > 1 else RecordFormat.splits(self, path)

    def rows(self, path: Path) -> Iterator[RawRow]:
        """Every record of the wanted part."""
        text = _text(path, self.encoding or "utf-8-sig")
        lines = Lines(text)
        wanted = self.split.split("+") if self.split and not self.columns.split_column else None
        nested = holds_questions(text)
        for item in _walked(text, path):
            if wanted is None or item.part is None or item.part in wanted:
                if not nested:
                    yield _DocumentRow(*lines.place(item.start), item, text)
                    continue
                for inner, content in questions_in(item, text):
                    yield _NestedRow(*lines.place(inner.start), inner, text, content)


@dataclass(slots=True)
class _DocumentRow(RawRow):
    line: int
    column: int
    item: Item
    document: str

    @property
    def spot(self) -> str:
        """Many records may share a line."""
        return f":{self.column}"

    def record(self) -> Record:
        return record_of(self.item.value(self.document))

    def place(self, fault: RowFault) -> tuple[int, int | None]:
        return self.line, self.column

    def text(self) -> str:
        return self.document[self.item.start : self.item.end]


@dataclass(slots=True)
class _NestedRow(_DocumentRow):
    content: Record | RowFault

    def record(self) -> Record:
        if isinstance(self.content, RowFault):
            raise self.content
        return self.content


def _text(path: Path, encoding: str) -> str:
    return "".join(lines_of(path, encoding))


def _walked(text: str, path: Path) -> Iterator[Item]:
    try:
        yield from items(text)
    except Broken as broken:
        line, column = Lines(text).place(min(broken.offset, len(text)))
        raise DataError(
            broken.message,
            code="TS-DATA-019",
            place=Place(file=str(path), line=line, column=column),
            fix="repair the document; rows after this place cannot be told apart.",
        ) from None


def _parts(text: str, path: Path) -> list[str | None]:
    """The keys whose arrays hold records (None for a document that is one array)."""
    found: dict[str | None, bool] = {}
    for item in _walked(text, path):
        found[item.part] = found.get(item.part, False) or text[item.start] in "[{"
    return [part for part, holds in found.items() if holds] or [None]


def _holds_rows(line: str) -> bool:
    try:
        return any(item.part is not None and line[item.start] in "[{" for item in items(line))
    except Broken:
        return False


def _which(path: Path, parts: list[str]) -> DataError:
    return DataError(
        f"the document holds {len(parts)} lists of records: {listed(parts)}",
        code="TS-DATA-036",
        place=Place(file=str(path)),
        fix=f"say which: {path.name}#{parts[0]}, or several as {path.name}#{parts[0]}+{parts[1]}.",
    )
