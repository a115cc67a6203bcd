"""How fine raw texts must be cut: the coarsest level at which the training entities survive.

Coarse units make short tag sequences and whole words; they fail where an entity ends inside a word (`iPhone12`,
a Japanese or glued text). Fine units always fit but cost a sub-word a character, so single characters are chosen
only where they save more than `WORTHWHILE` of the entities.
"""

from collections import Counter

from tunesmith.core.example import Example
from tunesmith.prepare.alignment import place, units_of
from tunesmith.prepare.certificate import spans_in
from tunesmith.prepare.characters import LEVELS, Level

WORTHWHILE = 0.005
"""The share of entities that single characters must save over character classes."""
_COMPARED = 200
"""Examples with words that are compared with what raw texts would be cut into."""


class LevelChoice:
    """Looks at training examples one by one and then names a level."""

    def __init__(self) -> None:
        self._entities = 0
        self._misfits: Counter[Level] = Counter()
        self._with_words = 0
        self._agreement: dict[Level, float] = dict.fromkeys(LEVELS, 0.0)

    def see(self, example: Example) -> None:
        """Take one example into account."""
        if example.words is not None:
            if self._with_words < _COMPARED:
                self._compare(example.text, example.words)
        elif spans := spans_in(example):
            self._entities += len(spans)
            for level in LEVELS:
                misfits = len(place(spans, units_of(example.text, level))[1])
                self._misfits[level] += misfits
                if not misfits:  # the finer levels have the same borders and more
                    break

    def level(self) -> Level:
        """The choice. Where files gave all the words, the level that cuts raw texts most like those words."""
        if not self._entities:
            return max(LEVELS, key=lambda level: self._agreement[level])
        least = self._misfits["characters"]
        if self._misfits["words"] == least:
            return "words"
        if self._misfits["classes"] - least > WORTHWHILE * self._entities:
            return "characters"
        return "classes" if self._misfits["classes"] < self._misfits["words"] else "words"

    def _compare(self, text: str, words: tuple[tuple[int, int], ...]) -> None:
        self._with_words += 1
        given = set(words)
        for level in LEVELS:
            units = units_of(text, level)
            self._agreement[level] += 2 * len(given.intersection(units)) / max(1, len(given) + len(units))
