"""CoNLL columns: one word and its tag a line, a blank line between sentences, `-DOCSTART-` between documents."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tunesmith.core.errors import ConfigError, Place
from tunesmith.core.example import Example, Source, Span
from tunesmith.core.format import Format, Match, Reject, Sample
from tunesmith.prepare.formats._conll_layout import (
    DOCUMENT,
    Layout,
    Line,
    cut,
    guess_layout,
    has_glued_digits,
    is_comment,
)
from tunesmith.prepare.formats._details import with_tagging
from tunesmith.prepare.formats._faults import SKIP, RowFault, check_text, refuse
from tunesmith.prepare.formats._labels import LabelReader
from tunesmith.prepare.formats._options import Labelling, Tagging
from tunesmith.prepare.formats._records import joined
from tunesmith.prepare.formats._tags import TagFault, entities_of
from tunesmith.prepare.text_files import lines_of, sample_of

ENDINGS = (".conll", ".bio", ".iob", ".iob2", ".bmes", ".bioes", ".conllu", ".ner")


@dataclass(slots=True)
class _Sentence:
    lines: list[Line] = field(default_factory=list)
    document: int = 0


class Conll(Format):
    """Words and tags in columns set apart by blanks or tabs; words or single characters."""

    encoding: str | None = None
    """Encoding of the file; detected where absent."""
    delimiter: str | None = None
    """A tab, or a blank for any run of blanks and tabs; detected where absent."""
    token_column: int | None = None
    """The column of the words, from 1; the first where absent."""
    tag_column: int | None = None
    """The column of the tags, from 1; the last that holds tags where absent."""
    width: int | None = None
    """How many columns every line has."""
    glued_digits: bool | None = None
    """Whether the last character of each word is its place in a segmented word (`技1`) and not part of it."""
    tagging: Tagging = Tagging()
    """How word tags are written."""
    labelling: Labelling = Labelling()
    """How labels are written."""

    def resembles(self, sample: Sample) -> float:
        """Whether one column holds nothing but tags."""
        found = guess_layout(
            sample.lines[:2000], delimiter=self.delimiter, token_column=self.token_column, tag_column=self.tag_column
        )
        if found is None:
            return 0.6 if sample.suffix in ENDINGS else 0.0
        blank = any(not line.strip() for line in sample.lines)
        return 0.9 if found[1] > 0.9 and (blank or sample.suffix in ENDINGS) else 0.6

    def sniff(self, sample: Sample) -> Match | None:
        """Layout, scheme, and whether words are characters."""
        if not sample.encoding:
            return None
        found = guess_layout(
            sample.lines, delimiter=self.delimiter, token_column=self.token_column, tag_column=self.tag_column
        )
        if found is None:
            return None
        layout = found[0]
        self._require_columns(layout)
        sentences = [s for s, _ in self._sentences(cut(sample.lines, layout.delimiter), layout.width)]
        rows = [[line.fields for line in s.lines if len(line.fields) == layout.width] for s in sentences]
        words = [[fields[layout.token_column - 1] for fields in row] for row in rows]
        tags = [[fields[layout.tag_column - 1] for fields in row] for row in rows]
        notes = [*sample.notes, f"{layout.width} columns, words in {layout.token_column}, tags in {layout.tag_column}"]
        glued = self.glued_digits
        if glued is None:
            glued = has_glued_digits([word for sentence in words for word in sentence])
            notes += ["the digit glued to each word is cut off"] if glued else []
        bare = [[word[:-1] for word in sentence] for sentence in words] if glued else words
        tagging = with_tagging(self.tagging, bare, tags, notes)
        if sum(s.document > 0 for s in sentences):
            notes.append(f"{DOCUMENT} lines: sentences of one document stay together (group)")
        update = {
            "task": "token_classification",
            "encoding": sample.encoding,
            "delimiter": layout.delimiter,
            "token_column": layout.token_column,
            "tag_column": layout.tag_column,
            "width": layout.width,
            "glued_digits": glued,
            "tagging": tagging,
        }
        return Match(self.model_copy(update=update), "token_classification", tuple(notes))

    def read(self, path: Path, *, reject: Reject | None = None) -> Iterator[Example]:
        """One example a sentence."""
        if self.encoding is None or self.delimiter is None or self.width is None or self.glued_digits is None:
            match = self.sniff(sample_of(path, encoding=self.encoding))
            if match is not None:
                yield from match.format.read(path, reject=reject)
            return
        labels = LabelReader(self.labelling, several=False)
        lines = cut(lines_of(path, self.encoding), self.delimiter)
        for sentence, _ in self._sentences(lines, self.width):
            try:
                example = self._example(sentence, path, labels)
            except _LineFault as fault:
                row = "\n".join(line.text for line in sentence.lines)
                refuse(fault.fault.located(path, fault.line, fault.column), row, reject)
                continue
            yield example

    def _sentences(self, lines: Iterator[Line], width: int) -> Iterator[tuple[_Sentence, int]]:
        """Sentences in order, each with the number of its first line."""
        current = _Sentence()
        document = 0
        for line in lines:
            if line.fields and (is_comment(line, width) and not current.lines):
                continue
            if line.fields and line.fields[0] != DOCUMENT:
                current.lines.append(line)
                continue
            if current.lines:
                yield current, current.lines[0].number
            document += bool(line.fields)
            current = _Sentence(document=document)
        if current.lines:
            yield current, current.lines[0].number

    def _example(self, sentence: _Sentence, path: Path, labels: LabelReader) -> Example:
        tokens = [self._token(line) for line in sentence.lines]
        tags = [line.fields[(self.tag_column or self.width or 1) - 1] for line in sentence.lines]
        text, words = joined(tokens, self.tagging)
        try:
            found = entities_of(tags, self.tagging.scheme or "IOB2", repair=self.tagging.transitions == "repair")
        except TagFault as fault:
            line = sentence.lines[fault.index]
            raise _LineFault(fault, line.number, line.text.rfind(tags[fault.index]) + 1) from None
        gold: list[Span] = []
        for first, last, label in found:
            try:
                gold.append(Span(words[first][0], words[last - 1][1], labels.one(label, "tag")))
            except RowFault as fault:
                line = sentence.lines[first]
                raise _LineFault(fault, line.number, line.text.rfind(tags[first]) + 1) from None
        number = sentence.lines[0].number
        return Example(
            id=f"{path.name}:{number}",
            text=text,
            source=Source(str(path), number),
            words=words,
            gold=tuple(gold),
            group=f"{path.name}#{sentence.document}" if sentence.document else None,
        )

    def _token(self, line: Line) -> str:
        if len(line.fields) != self.width:
            fix = f"give every word its tag, and separate sentences by a blank line, {SKIP}."
            message = f"the line has {len(line.fields)} column(s), the others {self.width}"
            raise _LineFault(RowFault(message, code="TS-DATA-010", fix=fix), line.number, 1)
        token = line.fields[(self.token_column or 1) - 1]
        if self.glued_digits:
            token = token[:-1]
        try:
            if token.isspace():
                return token
            check_text(token, "word", what="the word")
        except RowFault as fault:
            raise _LineFault(fault, line.number, max(line.text.find(token), 0) + 1) from None
        return token

    def _require_columns(self, layout: Layout) -> None:
        for key, column in (("token_column", layout.token_column), ("tag_column", layout.tag_column)):
            if not 1 <= column <= layout.width:
                raise ConfigError(
                    f"there is no column {column}",
                    code="TS-CONF-020",
                    place=Place(key=f"data.{key}"),
                    fix=f"the lines have {layout.width} columns, counted from 1.",
                )


class _LineFault(Exception):
    """A fault with the line and column it stands on."""

    def __init__(self, fault: RowFault, line: int, column: int) -> None:
        super().__init__(fault.message)
        self.fault = fault
        self.line = line
        self.column = column
