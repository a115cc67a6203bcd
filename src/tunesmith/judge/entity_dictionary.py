"""Find the entities of the training rows again, letter by letter: what a model must beat to have learned anything.

Longest match from left to right over words (single characters for Chinese). An entry is kept when it was an entity in
at least half of the places where training holds it, with the type it had most often; that is a stronger rule than the
baseline of the CoNLL-2003 task, which kept unambiguous entities only.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from tunesmith.core.example import Example, Span
from tunesmith.core.prediction import ScoredSpan

_UNIT = re.compile(
    r"[\u2e80-\u9fff\uf900-\ufaff\uac00-\ud7ff\U00020000-\U0003ffff]|[^\W_\u2e80-\u9fff\uf900-\uffef]+|\S"
)

Name = tuple[str, ...]
Units = tuple[tuple[int, int], ...]


class Dictionary:
    """Names with their types, and the lengths worth trying behind each first word."""

    def __init__(self, types: dict[Name, tuple[str, float]]) -> None:
        """`types` maps a name to its type and to how often it was that."""
        self.types = types
        lengths: dict[str, set[int]] = {}
        for name in types:
            lengths.setdefault(name[0], set()).add(len(name))
        self._lengths = {first: sorted(known, reverse=True) for first, known in lengths.items()}

    def __len__(self) -> int:
        """How many names it holds."""
        return len(self.types)

    def matches(self, words: Sequence[str]) -> Iterator[tuple[int, int]]:
        """First and last (exclusive) word of each longest match, from left to right."""
        place = 0
        while place < len(words):
            ends = (place + length for length in self._lengths.get(words[place], ()))
            fits = (end for end in ends if end <= len(words) and tuple(words[place:end]) in self.types)
            end = next(fits, place)
            if end > place:
                yield place, end
            place = max(end, place + 1)


def learn(train: Sequence[Example]) -> Dictionary:
    """The entities of the training rows that are worth looking for."""
    counts: dict[Name, Counter[str]] = {}
    for example in train:
        units = _units(example)
        for span in _spans(example):
            inside = tuple(example.text[a:b] for a, b in units if a >= span.start and b <= span.end)
            if inside:
                counts.setdefault(inside, Counter())[span.label] += 1
    everything = Dictionary({name: (min(types, key=lambda t: (-types[t], t)), 1.0) for name, types in counts.items()})
    seen: Counter[Name] = Counter()
    for example in train:
        words = [example.text[a:b] for a, b in _units(example)]
        seen.update(tuple(words[first:last]) for first, last in everything.matches(words))
    kept = {}
    for name, (label, _) in everything.types.items():
        share = counts[name][label] / max(seen[name], counts[name].total())
        if share >= 0.5:
            kept[name] = (label, share)
    return Dictionary(kept)


def find(names: Dictionary, example: Example) -> tuple[ScoredSpan, ...]:
    """The entities that the dictionary sees in a text; the confidence is the share it had in training."""
    units = _units(example)
    words = [example.text[a:b] for a, b in units]
    found = []
    for first, last in names.matches(words):
        label, share = names.types[tuple(words[first:last])]
        found.append(ScoredSpan(units[first][0], units[last - 1][1], label, share))
    return tuple(found)


def _units(example: Example) -> Units:
    return example.words if example.words is not None else tuple(m.span() for m in _UNIT.finditer(example.text))


def _spans(example: Example) -> list[Span]:
    return [span for span in example.gold if isinstance(span, Span)] if isinstance(example.gold, tuple) else []
