"""A folder of parallel files: line i of `seq.in` has its tags in line i of `seq.out`, its label in `label`.

With all three the rows are for `joint_classification`; `task` takes the tags or the labels alone.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from tunesmith.core.errors import DataError, MissingInputError, Place
from tunesmith.core.example import Example, Gold, LabelAndSpans, Source, Span
from tunesmith.core.format import Format, Match, Reject, Sample, TaskKind
from tunesmith.prepare.formats._details import with_tagging
from tunesmith.prepare.formats._faults import SKIP, RowFault, check_text, refuse
from tunesmith.prepare.formats._labels import LabelReader
from tunesmith.prepare.formats._options import Labelling, Tagging
from tunesmith.prepare.formats._records import joined
from tunesmith.prepare.formats._tags import TagFault, entities_of
from tunesmith.prepare.text_files import SAMPLE_LINES, encoding_of, lines_of


class ParallelLines(Format):
    """Entities from the tags, one label a text, or both: `task` says which."""

    encoding: str | None = None
    """Encoding of the files; detected where absent."""
    words_file: str = "seq.in"
    """File with the words, one text a line."""
    tags_file: str = "seq.out"
    """File with one tag for each word."""
    label_file: str = "label"
    """File with one label a line."""
    tagging: Tagging = Tagging()
    """How word tags are written."""
    labelling: Labelling = Labelling()
    """How labels are written."""

    def resembles(self, sample: Sample) -> float:
        """A folder with the file of words and one of the others."""
        folder = sample.path
        others = (folder / self.tags_file).is_file() or (folder / self.label_file).is_file()
        return 1.0 if folder.is_dir() and (folder / self.words_file).is_file() and others else 0.0

    def sniff(self, sample: Sample) -> Match | None:
        """The task by the files that are there, and the scheme of the tags."""
        if not self.resembles(sample):
            return None
        has_tags, has_labels = ((sample.path / name).is_file() for name in (self.tags_file, self.label_file))
        task: TaskKind = "token_classification" if has_tags else "text_classification"
        if has_tags and has_labels:
            task = "joint_classification"
        task = self.task or task
        encoding, notes = encoding_of(sample.path / self.words_file)
        found = list(notes)
        if self.task is None and has_tags and has_labels:
            found.append(
                f"entities from {self.tags_file} and a label from {self.label_file}; "
                'task = "token_classification" or "text_classification" takes one of them'
            )
        tagging = self.tagging
        if task != "text_classification" and has_tags:
            words = [_cut(line) for line in islice(lines_of(sample.path / self.words_file, encoding), SAMPLE_LINES)]
            tags = [_cut(line) for line in islice(lines_of(sample.path / self.tags_file, encoding), SAMPLE_LINES)]
            tagging = with_tagging(tagging, words, tags, found)
        update = {"task": task, "encoding": encoding, "tagging": tagging}
        return Match(self.model_copy(update=update), task, tuple(found))

    def read(self, path: Path, *, reject: Reject | None = None) -> Iterator[Example]:
        """One example a line, named after the file of words."""
        match = self.sniff(Sample(path=path)) if self.encoding is None else None
        if match is not None:
            yield from match.format.read(path, reject=reject)
            return
        encoding = self.encoding or "utf-8-sig"
        words_file, tags_file, label_file = (path / n for n in (self.words_file, self.tags_file, self.label_file))
        others = {"text_classification": (label_file,), "joint_classification": (tags_file, label_file)}
        files = (words_file, *others.get(self.task or "", (tags_file,)))
        for other in files[1:]:
            _require_step(words_file, other, encoding)
        blamed = {"text": words_file, "label": label_file}
        labels = LabelReader(self.labelling, several=bool(self.labelling.separator))
        for number, row in enumerate(zip(*(lines_of(file, encoding) for file in files), strict=True), 1):
            lines = dict(zip(files, row, strict=True))
            try:
                example = self._example(
                    lines[words_file],
                    lines.get(tags_file),
                    lines.get(label_file),
                    labels,
                    Source(str(words_file), number),
                )
            except RowFault as fault:
                place = blamed.get(fault.key or "", tags_file)
                refuse(fault.located(place, number, fault.offset + 1), "\n".join(line.rstrip() for line in row), reject)
                continue
            yield example

    def _example(self, line: str, tags: str | None, label: str | None, labels: LabelReader, source: Source) -> Example:
        words = _cut(line)
        text, borders = joined(words, self.tagging)
        check_text(text, "text")
        gold: Gold
        if tags is None:
            gold = labels.read(label or "", "label")
        else:
            spans = self._entities(words, _cut(tags), borders, labels)
            gold = spans if label is None else LabelAndSpans(labels.one(label, "label"), spans)
        name = f"{Path(source.file).name}:{source.line}"
        return Example(id=name, text=text, source=source, words=borders, gold=gold)

    def _entities(
        self, words: list[str], tags: list[str], borders: tuple[tuple[int, int], ...], labels: LabelReader
    ) -> tuple[Span, ...]:
        if len(tags) != len(words):
            fix = f"give every word exactly one tag, {SKIP}."
            raise RowFault(f"{len(words)} words have {len(tags)} tags", code="TS-DATA-030", fix=fix)
        try:
            found = entities_of(tags, self.tagging.scheme or "IOB2", repair=self.tagging.transitions == "repair")
        except TagFault as fault:
            fault.offset = sum(len(tag) + 1 for tag in tags[: fault.index])
            raise
        return tuple(Span(borders[a][0], borders[b - 1][1], labels.one(label, "tags")) for a, b, label in found)


def _cut(line: str) -> list[str]:
    return [word for word in line.strip("\r\n").replace("\t", " ").split(" ") if word]


def _require_step(first: Path, second: Path, encoding: str) -> None:
    """Check that both files have as many lines: beyond a missing line every pair would be wrong."""
    if not second.is_file():
        raise MissingInputError(
            "there is no such file beside the words",
            code="TS-DATA-001",
            place=Place(file=str(second)),
            fix="name it with `tags_file` or `label_file`, or set the other `task`.",
        )
    counts = [sum(1 for _ in lines_of(file, encoding)) for file in (first, second)]
    if counts[0] != counts[1]:
        raise DataError(
            f"{first.name} has {counts[0]} lines, {second.name} {counts[1]}: they are out of step",
            code="TS-DATA-031",
            place=Place(file=str(second), line=min(counts) + 1),
            fix="find the missing line; every later row would get the label of another.",
        )
