"""Which columns of a tagged file hold the word and the tag, and what is glued to them."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tunesmith.prepare.formats._tags import split_tag

DOCUMENT = "-DOCSTART-"
_GLUED = re.compile(r".\d", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Layout:
    """How a line is cut. `width` fields, word and tag columns from 1."""

    delimiter: str
    width: int
    token_column: int
    tag_column: int


@dataclass(frozen=True, slots=True)
class Line:
    """A line with its fields and its number (from 1); no fields between sentences."""

    number: int
    text: str
    fields: tuple[str, ...]


def cut(lines: Iterator[str] | Sequence[str], delimiter: str) -> Iterator[Line]:
    """Lines and their fields. Blanks between fields are ASCII only: an ideographic space may be a token."""
    for number, line in enumerate(lines, 1):
        text = line.rstrip("\r\n")
        if not text.strip(" \t"):
            yield Line(number, text, ())
        elif delimiter == "\t":
            yield Line(number, text, tuple(text.split("\t")))
        else:
            yield Line(number, text, tuple(field for field in text.replace("\t", " ").split(" ") if field))


def is_comment(line: Line, width: int) -> bool:
    """Whether a line is a remark (`# id 17`) and not a word."""
    return line.text.startswith("# ") and len(line.fields) != width


def guess_layout(
    lines: Sequence[str], *, delimiter: str | None, token_column: int | None, tag_column: int | None
) -> tuple[Layout, float] | None:
    """The layout and the share of lines that fit it; None where no column holds tags."""
    filled = [line for line in lines if line.strip(" \t\r\n")]
    if not filled:
        return None
    tabs = sum("\t" in line.strip(" \r\n") for line in filled)
    delimiter = delimiter or ("\t" if tabs > 0.9 * len(filled) else " ")
    rows = [line.fields for line in cut(filled, delimiter)]
    (width, count), *_ = Counter(map(len, rows)).most_common(1)
    if width < 2:
        return None
    even = [row for row in rows if len(row) == width and row[0] != DOCUMENT]
    tag = tag_column or _tag_column(even, width)
    if tag is None or not even:
        return None
    return Layout(delimiter, width, token_column or 1, tag), count / len(rows)


def _tag_column(rows: Sequence[Sequence[str]], width: int) -> int | None:
    """The last column, if it holds tags, else the only one that does."""
    fitting = [column for column in range(2, width + 1) if tag_share([row[column - 1] for row in rows]) > 0.98]
    if width in fitting or not fitting:
        return width if fitting else None
    return fitting[0] if len(fitting) == 1 else None


def tag_share(values: Sequence[str]) -> float:
    """The share of values that are tags: outside, or a letter of a scheme with a type; 0 where none is outside.

    A few short values among many `O` count as tags without letters.
    """
    outside = values.count("O")
    if not outside:
        return 0.0
    different = set(values)
    if (
        outside > 0.3 * len(values)
        and len(different) <= min(100, 2 + len(values) // 10)
        and max(map(len, different)) <= 40
    ):
        return 1.0
    return sum(split_tag(value)[0] != "" for value in values) / len(values)


def has_glued_digits(tokens: Sequence[str]) -> bool:
    """Whether every word is one character followed by its place in a segmented word (`技1`)."""
    return len(tokens) >= 20 and sum(bool(_GLUED.fullmatch(token)) for token in tokens) > 0.97 * len(tokens)
