"""Questions and texts to windows: `prefix question middle part pair_suffix`, the text in parts that overlap.

Every sub-word of the part has a place, behind the place of "no answer": the window's first token, or its last where the
model is causal and only the last has seen everything. Equal texts, which most questions have, are tokenised once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.example import Example
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.prepare.alignment import Unit, units_of, windows_of, words_of
from tunesmith.prepare.characters import Level
from tunesmith.tasks._sequence import chunks

Ints = NDArray[np.int32]
NOWHERE = -1
"""The unit of the place that stands for "no answer"."""


@dataclass(frozen=True, slots=True)
class AnswerWindow:
    """One window. `units` [m] are the units that its places answer for, `NOWHERE` first."""

    input_ids: Ints
    second: int
    """Tokens at its end that belong to the text."""
    places: Ints
    units: Ints
    truncated: int


@dataclass(frozen=True, slots=True)
class AskedText:
    """The units of a text, and the windows in which one question is asked about it, at least one."""

    units: Sequence[Unit]
    windows: Sequence[AnswerWindow]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How a text is cut: the units that answers consist of, tokens of a window, and how many neighbours share."""

    level: Level
    window: int
    stride: int


def asked_texts(examples: Sequence[Example], tokenizer: Tokenizer, reading: Reading) -> Iterator[AskedText]:
    """Every example in order."""
    for part in chunks(examples):
        texts = list(dict.fromkeys(example.text for example in part))
        known = dict(zip(texts, _cut(texts, tokenizer, reading.level), strict=True))
        questions = tokenizer.texts([example.pair or "" for example in part])
        for example, question in zip(part, questions, strict=True):
            text = known[example.text]
            yield AskedText(text.units, list(_windows(text, example, question, tokenizer, reading)))


@dataclass(frozen=True, slots=True)
class _Text:
    units: Sequence[Unit]
    ids: Ints
    """[N] the sub-words of all units"""
    owner: Ints
    """[N] the unit of each"""
    counts: NDArray[np.int64]
    """[U] sub-words of each unit"""

    def within(self, room: int) -> "_Text":
        """The same text without the sub-words of a unit beyond the first `room`."""
        if not len(self.counts) or self.counts.max() <= room:
            return self
        rank = np.arange(len(self.ids)) - (np.cumsum(self.counts) - self.counts)[self.owner]
        kept = rank < room
        return _Text(self.units, self.ids[kept], self.owner[kept], np.minimum(self.counts, room))

    def lost(self, room: int) -> int:
        """Characters that `within` drops."""
        found = 0
        for unit in np.flatnonzero(self.counts > room).tolist():
            start, end = self.units[unit]
            found += max(1, round((end - start) * (1 - room / int(self.counts[unit]))))
        return found


def _cut(texts: Sequence[str], tokenizer: Tokenizer, level: Level) -> Iterator[_Text]:
    units = [units_of(text, level) for text in texts]
    pieces = tokenizer.words(list(chain.from_iterable(map(words_of, texts, units))))
    low = 0
    for own in units:
        words = pieces[low : low + len(own)]
        low += len(own)
        counts = np.fromiter(map(len, words), dtype=np.int64, count=len(words))
        ids = np.fromiter(chain.from_iterable(words), dtype=np.int32, count=int(counts.sum()))
        yield _Text(own, ids, np.repeat(np.arange(len(own), dtype=np.int32), counts), counts)


def _windows(
    text: _Text, example: Example, question: Sequence[int], tokenizer: Tokenizer, reading: Reading
) -> Iterator[AnswerWindow]:
    frame = tokenizer.framing
    end = frame.pair_suffix or ((tokenizer.unknown_id,) if tokenizer.causal else ())
    budget = max(reading.window - len(frame.prefix) - len(frame.middle) - len(end), 2)
    kept = min(len(question), budget // 2)
    asked = example.pair or ""
    lost = max(1, round(len(asked) * (1 - kept / len(question)))) if kept < len(question) else 0
    # Never empty: the first token of a window stands for "no answer" and must be none of the text's.
    head = (*frame.prefix, *question[:kept], *frame.middle) or (tokenizer.unknown_id,)
    room = max(reading.window - len(head) - len(end), 1)
    lost += text.lost(room)
    text = text.within(room)
    borders = np.concatenate([[0], np.cumsum(text.counts)])
    parts = windows_of(text.counts.tolist(), room=room, stride=min(reading.stride, room // 2)) or [(0, 0)]
    for first, last in parts:
        low, high = int(borders[first]), int(borders[last])
        ids = np.concatenate([np.array(head, np.int32), text.ids[low:high], np.array(end, np.int32)])
        nowhere = len(ids) - 1 if tokenizer.causal else 0
        yield AnswerWindow(
            input_ids=ids,
            second=high - low + len(end),
            places=np.concatenate([[nowhere], np.arange(len(head), len(head) + high - low)]).astype(np.int32),
            units=np.concatenate([[NOWHERE], text.owner[low:high]]).astype(np.int32),
            truncated=lost,
        )
        lost = 0  # counted once, in the first window
