"""From character spans to tags on units and back, and from units to windows of sub-words.

A *unit* is what carries one tag: a word that the file gave, or a piece of raw text (see `characters.Level`). Every
unit is tokenised on its own and its first sub-word carries the tag, so labels cannot shift, whatever the tokenizer
folds, drops or adds. What can go wrong is only that a span does not lie on unit borders, and that is reported.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Literal

from tunesmith.core.example import Example, Span
from tunesmith.prepare.characters import Level, pattern

Scheme = Literal["BIO", "BIOES"]
"""How a run of units is written as tags: `B-X I-X I-X`, or `B-X I-X E-X` with `S-X` for a single unit."""

Unit = tuple[int, int]
"""Characters `start` to `end` (exclusive) of a text."""


@dataclass(frozen=True, slots=True)
class Misfit:
    """A span that the units cannot carry as it is.

    `repaired`: it was moved to the units that enclose it, `became` says where. `lossy`: it has no unit, or another
    entity holds one of its units; it is not learnt.
    """

    span: Span
    kind: Literal["repaired", "lossy"]
    reason: str
    became: Span | None = None


def units_of(text: str, level: Level) -> list[Unit]:
    """The units of a raw text in order; whatever lies between them is blank."""
    return [match.span() for match in pattern(level).finditer(text)]


def units_of_example(example: Example, level: Level) -> Sequence[Unit]:
    """The words the file gave, else the units of the text."""
    return units_of(example.text, level) if example.words is None else example.words


def words_of(text: str, units: Iterable[Unit]) -> list[tuple[str, bool]]:
    """Each unit's text with whether a blank (or the text's start) precedes it: what `Tokenizer.words` takes."""
    return [(text[start:end], start == 0 or text[start - 1].isspace()) for start, end in units]


def place(spans: Iterable[Span], units: Sequence[Unit]) -> tuple[list[tuple[int, int, Span]], list[Misfit]]:
    """The units `first` to `last` (exclusive) of every span that can be carried, and what does not fit.

    Spans that lie on unit borders are placed first, so that a repaired one never drives them out; among those that
    collide the earlier and then the longer one stays.
    """
    taken: set[int] = set()
    placed: list[tuple[int, int, Span]] = []
    misfits: list[Misfit] = []
    ordered = sorted(set(spans), key=lambda span: (span.start, -span.end, span.label))
    found = [(*_touched(span, units), span) for span in ordered]
    found.sort(key=lambda item: not _is_exact(item, units))
    for first, last, span in found:
        if first >= last or span.start >= span.end:
            misfits.append(Misfit(span, "lossy", "no unit of the text lies in it"))
            continue
        if not taken.isdisjoint(range(first, last)):
            misfits.append(Misfit(span, "lossy", "it shares a unit with another entity"))
            continue
        taken.update(range(first, last))
        placed.append((first, last, span))
        if not _is_exact((first, last, span), units):
            became = Span(units[first][0], units[last - 1][1], span.label)
            misfits.append(Misfit(span, "repaired", "its borders are not unit borders", became))
    placed.sort(key=lambda item: item[0])
    misfits.sort(key=lambda misfit: misfit.span)
    return placed, misfits


def _touched(span: Span, units: Sequence[Unit]) -> tuple[int, int]:
    """The units `first` to `last` (exclusive) that share a character with the span."""
    first = bisect_left(units, (span.start, 0))
    if first and units[first - 1][1] > span.start:
        first -= 1
    return first, bisect_left(units, (span.end, 0))


def _is_exact(item: tuple[int, int, Span], units: Sequence[Unit]) -> bool:
    first, last, span = item
    return first < last and units[first][0] == span.start and units[last - 1][1] == span.end


def tags_of(spans: Iterable[Span], units: Sequence[Unit], scheme: Scheme) -> tuple[list[str], list[Misfit]]:
    """One tag per unit (`O`, `B-X`, ...) and the spans that do not fit, in order."""
    placed, misfits = place(spans, units)
    tags = ["O"] * len(units)
    for first, last, span in placed:
        tags[first:last] = [f"{mark}-{span.label}" for mark in marks_of(last - first, scheme)]
    return tags, misfits


def marks_of(length: int, scheme: Scheme) -> str:
    """The scheme's letters for an entity of so many units: `BII`, `BIE`, `S`."""
    if scheme == "BIO":
        return "B" + "I" * (length - 1)
    return "S" if length == 1 else "B" + "I" * (length - 2) + "E"


def spans_of(tags: Sequence[str], units: Sequence[Unit]) -> list[Span]:
    """The entities that tags of either scheme say, in order.

    An `I-X` or `E-X` that continues nothing opens an entity, as conlleval reads it.
    """
    spans: list[Span] = []
    label, begin = "", 0  # the open entity; no label: none is open
    for index, tag in enumerate(tags):
        mark, _, kind = tag.partition("-")
        if label and (mark in "BSO" or kind != label):
            spans.append(Span(units[begin][0], units[index - 1][1], label))
            label = ""
        if mark != "O" and not label:
            label, begin = kind, index
        if mark in "ES":
            spans.append(Span(units[begin][0], units[index][1], label))
            label = ""
    if label:
        spans.append(Span(units[begin][0], units[len(tags) - 1][1], label))
    return spans


def windows_of(piece_counts: Sequence[int], *, room: int, stride: int) -> list[tuple[int, int]]:
    """Units `first` to `last` (exclusive) of every window: at most `room` sub-words, about `stride` of them shared.

    All units are covered and each window ends later than the one before. A unit with more than `room` sub-words
    stands alone. One window suffices for most texts; none for a text without units.
    """
    total = len(piece_counts)
    ends = list(accumulate(piece_counts))
    if not total:
        return []
    if ends[-1] <= room:
        return [(0, total)]
    windows: list[tuple[int, int]] = []
    first = 0
    while True:
        before = ends[first] - piece_counts[first]
        last = max(bisect_right(ends, before + room), first + 1)
        windows.append((first, last))
        if last == total:
            return windows
        # Step back by the overlap, but never so far that the next window would not reach beyond this one.
        back = bisect_left(ends, ends[last - 1] - stride) + 1
        reach = bisect_left(ends, ends[last] - room) + 1 if ends[last] > room else 0
        first = min(max(back, reach, first + 1), last)


def answers_of(windows: Sequence[tuple[int, int]], piece_counts: Sequence[int]) -> list[tuple[int, int]]:
    """For every window the units (`first` to `last`, exclusive) it answers for: those it shows with most context.

    Where two windows overlap, the border lies in the middle of their common sub-words; every unit is answered for
    exactly once.
    """
    ends = list(accumulate(piece_counts))
    borders = [0]
    for (_, last), (first, _) in pairwise(windows):
        begin = ends[first] - piece_counts[first]
        middle = (begin + ends[last - 1]) // 2
        borders.append(min(max(bisect_right(ends, middle), first, borders[-1]), last))
    return list(zip(borders, [*borders[1:], len(piece_counts)], strict=True)) if windows else []
