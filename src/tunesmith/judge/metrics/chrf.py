"""chrF, the score of sacrebleu with its defaults, on a scale from 0 to 1: n-grams of 1 to 6 characters without blanks.

    chrF = (1 + b^2) P R / (b^2 P + R)        b = 2; P and R are means over the sizes that both sides have

Of several references the one with the best chrF for the row counts. All counts are sums over rows.

References: Popovic 2015, chrF: character n-gram F-score for automatic MT evaluation; Post 2018 (sacrebleu).
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from tunesmith.judge.metrics.counts import Column, Counts, Floats, ratio
from tunesmith.judge.metrics.tokens import shared

SIZES = (1, 2, 3, 4, 5, 6)
_BETA = 2
_HIT, _SAID, _GOLD = ([(f"chrf_{side}:{size}", "") for size in SIZES] for side in ("matched", "said", "gold"))


def row(said: str, references: Sequence[str]) -> dict[Column, float]:
    """What one answer adds to the sums."""
    own = _characters(said)
    best = max((_compared(own, _characters(reference)) for reference in references), key=lambda sums: float(_f(*sums)))
    return {
        column: float(value)
        for columns, values in zip((_HIT, _SAID, _GOLD), best, strict=True)
        for column, value in zip(columns, values, strict=True)
    }


def chrf(counts: Counts) -> Floats:
    """[...] chrF in [0, 1]."""
    hit, said, gold = (np.stack([counts.sum_of(column) for column in columns]) for columns in (_HIT, _SAID, _GOLD))
    return _f(hit, said, gold)


def _characters(text: str) -> tuple[Counter[str], ...]:
    letters = "".join(text.split())
    return tuple(Counter([letters[start : start + size] for start in range(len(letters) - size + 1)]) for size in SIZES)


def _compared(own: Sequence[Counter[str]], known: Sequence[Counter[str]]) -> tuple[Floats, Floats, Floats]:
    """[6] each: matched, said and gold n-grams; a size that the reference lacks is not said either."""
    hit = [shared(ours, theirs) for ours, theirs in zip(own, known, strict=True)]
    gold = np.array([theirs.total() for theirs in known], dtype=np.float64)
    said = np.array([ours.total() for ours in own], dtype=np.float64) * (gold > 0)
    return np.array(hit, dtype=np.float64), said, gold


def _f(hit: Floats, said: Floats, gold: Floats) -> Floats:
    """[...] the F score of sums [6, ...]."""
    sizes = ((said > 0) & (gold > 0)).sum(axis=0).astype(np.float64)
    precision = ratio((ratio(hit, said) * (gold > 0)).sum(axis=0), sizes)
    recall = ratio((ratio(hit, gold) * (said > 0)).sum(axis=0), sizes)
    return ratio((1 + _BETA**2) * precision * recall, _BETA**2 * precision + recall)
