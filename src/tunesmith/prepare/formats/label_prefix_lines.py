"""A label and its text in one line: `LOC:city What county is ...`, or fastText's `__label__LOC What county ...`."""

import re
from collections.abc import Iterator
from pathlib import Path

from tunesmith.core.example import Example, Source
from tunesmith.core.format import Format, Match, Reject, Sample
from tunesmith.prepare.formats._faults import SKIP, RowFault, check_text, refuse
from tunesmith.prepare.formats._guess import listed
from tunesmith.prepare.formats._labels import LabelReader
from tunesmith.prepare.formats._options import Labelling
from tunesmith.prepare.text_files import lines_of, sample_of

FASTTEXT = "__label__"
_LINE = re.compile(r"(\S+)[ \t]+(\S.*)", re.DOTALL)
_WORD = re.compile(r"[\w.-]+(:[\w.-]+)*:?")


class LabelPrefixLines(Format):
    """The first word of a line is its label; fastText's prefix is cut off and may occur several times."""

    encoding: str | None = None
    """Encoding of the file; detected where absent."""
    levels: int | None = None
    """How many parts of `COARSE:fine` labels are kept; all where absent."""
    several: bool | None = None
    """Whether a line may have several labels."""
    labelling: Labelling = Labelling()
    """How labels are written."""

    def resembles(self, sample: Sample) -> float:
        """Whether the first words of the lines are few and look like labels."""
        lines = [line for line in sample.lines[:2000] if line.strip()]
        found = [match for line in lines if (match := _LINE.fullmatch(line.rstrip("\r\n")))]
        firsts = [match[1] for match in found]
        if not found or len(found) < 0.98 * len(lines):
            return 0.0
        if all(first.startswith(FASTTEXT) for first in firsts):
            return 0.95
        few = len(set(firsts)) <= min(300, max(2, 0.3 * len(firsts)))
        if not few or len(lines) < 4 or not all(map(_WORD.fullmatch, firsts)):
            return 0.0
        marked = sum(":" in first for first in firsts) > 0.9 * len(firsts)
        return 0.7 if marked else 0.55 if all(first.isdecimal() or first.isupper() for first in firsts) else 0.0

    def sniff(self, sample: Sample) -> Match | None:
        """Which labels there are and how they are built."""
        if not sample.encoding:
            return None
        labels: set[str] = set()
        several = False
        for line in sample.lines:
            prefixes, _ = _cut(line.rstrip("\r\n"))
            labels.update(prefixes)
            several = several or len(prefixes) > 1
        notes = [*sample.notes, f"the first word of a line is its label: {listed(sorted(labels))}"]
        coarse = {label.split(":")[0] for label in labels}
        if self.levels is None and 2 <= len(coarse) < len(labels):
            notes.append(
                f"{len(labels)} labels of the form COARSE:fine; levels = 1 keeps the {len(coarse)} coarse ones"
            )
        update = {
            "task": "text_classification",
            "encoding": sample.encoding,
            "several": (several or None) if self.several is None else self.several,
        }
        return Match(self.model_copy(update=update), "text_classification", tuple(notes))

    def read(self, path: Path, *, reject: Reject | None = None) -> Iterator[Example]:
        """One example a line."""
        encoding = self.encoding or sample_of(path).encoding
        reader = LabelReader(self.labelling, several=bool(self.several))
        for number, line in enumerate(lines_of(path, encoding), 1):
            if not line.strip():
                continue
            try:
                example = self._example(line.rstrip("\r\n"), path, number, reader)
            except RowFault as fault:
                refuse(fault.located(path, number, fault.offset + 1), line, reject)
                continue
            yield example

    def _example(self, line: str, path: Path, number: int, reader: LabelReader) -> Example:
        prefixes, text = _cut(line)
        if not prefixes:
            fix = f"begin the line with its label, {SKIP}."
            raise RowFault("the label is missing", code="TS-DATA-016", fix=fix)
        if not text:
            fix = f"write the text after the label, {SKIP}."
            raise RowFault("there is no text after the label", code="TS-DATA-015", fix=fix, offset=len(line))
        check_text(text, "text")
        kept = [self._shortened(prefix) for prefix in prefixes]
        gold = reader.read(kept if self.several else kept[0], "label")
        return Example(id=f"{path.name}:{number}", text=text, source=Source(str(path), number), gold=gold)

    def _shortened(self, label: str) -> str:
        return ":".join(label.split(":")[: self.levels]) if self.levels else label


def _cut(line: str) -> tuple[list[str], str]:
    """The labels at the beginning of a line, and the rest."""
    labels: list[str] = []
    rest = line.strip(" \t")
    while rest.startswith(FASTTEXT):
        first, _, rest = rest.partition(" ")
        labels.append(first.removeprefix(FASTTEXT))
        rest = rest.lstrip(" \t")
    if labels:
        return labels, rest
    match = _LINE.fullmatch(rest)
    return ([match[1].rstrip(":")], match[2]) if match else ([rest] if rest else [], "")
