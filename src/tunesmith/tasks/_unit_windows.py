"""Texts to windows of sub-words in which the first sub-word of every unit has a place, or the last for causal models.

Many texts at once: all their units go through the tokenizer's word memory together, and the rest is array slicing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.example import Example
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.prepare.alignment import Unit, answers_of, units_of_example, windows_of, words_of
from tunesmith.prepare.characters import Level

CHUNK = 2000
"""Texts whose units are tokenised together."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The special tokens around a window, and how much lies between them."""

    prefix: NDArray[np.int32]
    suffix: NDArray[np.int32]
    room: int
    """Sub-words of a window."""
    overlap: int
    """Sub-words that neighbouring windows share."""
    causal: bool = False
    """Whether a unit is read at its last sub-word, which alone has seen all of it"""


@dataclass(frozen=True, slots=True)
class Window:
    """One window of one text; it answers for the units `first`, `first + 1`, ... one for each place."""

    example: int
    input_ids: NDArray[np.int32]
    places: NDArray[np.int32]
    first: int
    truncated: int


@dataclass(frozen=True, slots=True)
class Cut:
    """One text: its units, and the windows that show them (none for a text without units)."""

    units: Sequence[Unit]
    windows: Sequence[Window]


def cut_texts(examples: Sequence[Example], tokenizer: Tokenizer, frame: Frame, *, level: Level) -> Iterator[Cut]:
    """Every example in order. Every unit has a place in exactly one window, the one that shows it with most context."""
    for start in range(0, len(examples), CHUNK):
        yield from _cut(examples[start : start + CHUNK], start, tokenizer, frame, level=level)


def _cut(
    examples: Sequence[Example], offset: int, tokenizer: Tokenizer, frame: Frame, *, level: Level
) -> Iterator[Cut]:
    units = [units_of_example(example, level) for example in examples]
    words = chain.from_iterable(words_of(e.text, u) for e, u in zip(examples, units, strict=True))
    pieces = tokenizer.words(list(words))
    whole = np.fromiter(map(len, pieces), dtype=np.int64, count=len(pieces))
    counts = np.minimum(whole, frame.room)
    if (whole > frame.room).any():
        pieces = [ids[: frame.room] for ids in pieces]
    begins = np.concatenate([[0], np.cumsum(counts)])
    flat = np.fromiter(chain.from_iterable(pieces), dtype=np.int32, count=int(begins[-1]))
    low = 0
    for index, own in enumerate(units):
        high = low + len(own)
        text = _Text(offset + index, begins[low : high + 1], flat)
        windows = text.windows(frame)
        if windows and (whole[low:high] > frame.room).any():
            windows = _with_losses(windows, own, whole[low:high], frame.room)
        yield Cut(own, windows)
        low = high


@dataclass(frozen=True, slots=True)
class _Text:
    example: int
    begins: NDArray[np.int64]
    """[n + 1] where each unit's sub-words begin in `flat`, and where the last one's end"""
    flat: NDArray[np.int32]

    def windows(self, frame: Frame) -> list[Window]:
        total = len(self.begins) - 1
        if not total:
            return []
        if self.begins[-1] - self.begins[0] <= frame.room:
            return [self._window((0, total), (0, total), frame)]
        counts = np.diff(self.begins).tolist()
        shown = windows_of(counts, room=frame.room, stride=frame.overlap)
        answered = answers_of(shown, counts)
        pairs = zip(shown, answered, strict=True)
        return [self._window(seen, own, frame) for seen, own in pairs if own[0] < own[1]]

    def _window(self, seen: tuple[int, int], own: tuple[int, int], frame: Frame) -> Window:
        begin, end = self.begins[seen[0]], self.begins[seen[1]]
        ids = np.concatenate([frame.prefix, self.flat[begin:end], frame.suffix])
        read = self.begins[own[0] + 1 : own[1] + 1] - 1 if frame.causal else self.begins[own[0] : own[1]]
        places = (read + (len(frame.prefix) - begin)).astype(np.int32)
        return Window(self.example, ids, places, own[0], 0)


def _with_losses(windows: list[Window], units: Sequence[Unit], whole: NDArray[np.int64], room: int) -> list[Window]:
    """The same windows, each with the characters that were cut off its overlong units."""
    found = []
    for window in windows:
        lost = 0
        for unit in range(window.first, window.first + len(window.places)):
            if whole[unit] > room:
                start, end = units[unit]
                lost += max(1, round((end - start) * (1 - room / int(whole[unit]))))
        found.append(Window(window.example, window.input_ids, window.places, window.first, lost))
    return found
