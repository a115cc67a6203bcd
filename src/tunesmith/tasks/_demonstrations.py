"""Solved examples before the text: which training rows are kept, and which of them are shown to which text.

    alike(a, b) = cosine of the character trigrams of a and b, each counted log-wise and weighted by how rare it is

Shown are rows of every label in turn, the likest of each first; they stand in order, the likest next to the text.
Source: Brown et al. 2020 (demonstrations in the prompt); Liu et al. 2022, What makes good in-context examples for
GPT-3? (likest rows, nearest last); Lu et al. 2022, Fantastically ordered prompts (order matters, so it is measured).
"""

import hashlib
import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain, zip_longest

from pydantic import BaseModel, ConfigDict

from tunesmith.core.example import Example
from tunesmith.tasks._labels import one_label

POOL = 64
"""Rows that are kept: a bundle carries them, and every text is compared with them"""
GRAM = 3
LONGEST = 2000
"""Characters of a text that are compared."""


class Demonstration(BaseModel):
    """A training row that may be shown."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    text: str
    """The text."""
    pair: str | None = None
    """Its second text, for templates with one."""
    label: str
    """Its gold label."""


def kept(examples: Iterable[Example], labels: Sequence[str]) -> list[Demonstration]:
    """At most `POOL` rows, as many of each label as there are, drawn by a hash: no order of the rows changes them."""
    rows: dict[str, dict[str, Demonstration]] = {label: {} for label in labels}
    for example in examples:
        if example.gold is not None:
            row = Demonstration(text=example.text, pair=example.pair, label=one_label(example))
            rows[row.label][hashlib.sha256(repr(row).encode("utf-8", "surrogatepass")).hexdigest()] = row
    drawn = zip_longest(*([own[key] for key in sorted(own)] for own in rows.values()))
    return [row for row in chain.from_iterable(drawn) if row is not None][:POOL]


class Shelf:
    """Kept rows, compared with texts."""

    def __init__(self, rows: Sequence[Demonstration], labels: Sequence[str]) -> None:
        self.rows = rows
        self._labels = labels
        counts = [_grams(row.text, row.pair) for row in rows]
        seen = Counter(gram for own in counts for gram in own)
        self._rare = {gram: math.log((1 + len(rows)) / (1 + number)) + 1 for gram, number in seen.items()}
        self._where: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
        for index, own in enumerate(counts):
            for gram, weight in self._weights(own).items():
                self._where[gram].append((index, weight))

    def chosen(self, example: Example, count: int, *, order: int) -> list[int]:
        """Numbers of at most `count` rows to show, in order; the text itself is never among them.

        `order` 0: the likest last; another number: an order drawn with it and the text.
        """
        alike = [0.0] * len(self.rows)
        for gram, weight in self._weights(_grams(example.text, example.pair)).items():
            for index, other in self._where.get(gram, ()):
                alike[index] += weight * other
        others = [n for n, row in enumerate(self.rows) if (row.text, row.pair) != (example.text, example.pair)]
        others.sort(key=lambda n: -alike[n])
        turns = zip_longest(*([n for n in others if self.rows[n].label == label] for label in self._labels))
        found = [n for turn in turns for n in turn if n is not None][:count]
        found.sort(key=lambda n: alike[n])
        if order:
            random.Random(f"{order} {example.text}").shuffle(found)
        return found

    def _weights(self, counts: Counter[str]) -> dict[str, float]:
        """Of length 1, over the trigrams that any kept row has."""
        own = {gram: (1 + math.log(number)) * self._rare[gram] for gram, number in counts.items() if gram in self._rare}
        length = math.sqrt(sum(weight * weight for weight in own.values())) or 1.0
        return {gram: weight / length for gram, weight in own.items()}


def _grams(text: str, pair: str | None) -> Counter[str]:
    """Trigrams of the words with a space around each: as good for Chinese as for English."""
    words = " ".join([text, pair or ""]).lower().split()
    plain = f" {' '.join(words)[:LONGEST]} "
    return Counter(plain[start : start + GRAM] for start in range(max(1, len(plain) - GRAM + 1)))
