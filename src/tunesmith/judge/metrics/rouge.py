"""ROUGE-1, ROUGE-2 and ROUGE-L of a row: F measures over words, over pairs of words, over the longest common order.

Of several references the best one counts, for each of the three by itself, as in rouge_score without stemming.

References: Lin 2004, ROUGE: A Package for Automatic Evaluation of Summaries; Hyyro 2004, Bit-parallel LCS-length
computation revisited.
"""

from collections.abc import Sequence

from tunesmith.judge.metrics.counts import Column
from tunesmith.judge.metrics.tokens import grams, shared


def row(said: Sequence[str], references: Sequence[Sequence[str]]) -> dict[Column, float]:
    """What the words of one answer add to the sums: its three F measures."""
    return {
        ("rouge_1", ""): max(_overlap(said, words, size=1) for words in references),
        ("rouge_2", ""): max(_overlap(said, words, size=2) for words in references),
        ("rouge_l", ""): max(_f(common_order(said, words), len(said), len(words)) for words in references),
    }


def _overlap(said: Sequence[str], gold: Sequence[str], *, size: int) -> float:
    own, known = grams(said, size), grams(gold, size)
    return _f(shared(own, known), own.total(), known.total())


def _f(hit: int, said: int, gold: int) -> float:
    return 2 * hit / (said + gold) if hit else 0.0


def common_order(first: Sequence[str], second: Sequence[str]) -> int:
    """The length of the longest common subsequence.

    Bit i of `rising` is 0 where the i-th word of `first` makes that subsequence one longer; one addition of integers
    as long as `first` moves a whole row of the usual table.
    """
    places: dict[str, int] = {}
    for place, word in enumerate(first):
        places[word] = places.get(word, 0) | 1 << place
    full = (1 << len(first)) - 1
    rising = full
    for word in second:
        here = rising & places.get(word, 0)
        rising = ((rising + here) | (rising - here)) & full
    return len(first) - rising.bit_count()
