"""Corpus BLEU-4, the score of sacrebleu with its defaults, on a scale from 0 to 1.

    BLEU = min(1, exp(1 - r / h)) * (p1 p2 p3 p4)^(1/4)        p_n = matched n-grams / n-grams of the answers

h counts the words of all answers, r those of the references nearest in length. An n-gram is matched as often as it
stands in the reference that has most of it. Where no n-gram of a size is matched, p_n is 1 / (2^k total), for the k-th
such size ("exp" smoothing). All counts are sums over rows: it is not a mean of scores of rows.

References: Papineni et al. 2002; Chen and Cherry 2014 (smoothing 3); Post 2018 (sacrebleu).
"""

from collections.abc import Sequence

import numpy as np

from tunesmith.judge.metrics.counts import Column, Counts, Floats, ratio
from tunesmith.judge.metrics.tokens import Grams, grams, shared

SIZES = (1, 2, 3, 4)
_GRAMS, _DISTINCT, _MATCHED = (
    [(f"{statistic}:{size}", "") for size in SIZES] for statistic in ("grams", "distinct", "matched")
)


def row(said: Sequence[str], references: Sequence[Sequence[str]]) -> dict[Column, float]:
    """What the words of one answer add to the sums, beside the words of its references."""
    nearest = min((abs(len(words) - len(said)), len(words)) for words in references)[1]
    sums: dict[Column, float] = {("words", ""): float(len(said)), ("reference_words", ""): float(nearest)}
    for size, total, distinct, matched in zip(SIZES, _GRAMS, _DISTINCT, _MATCHED, strict=True):
        own = grams(said, size)
        known: Grams = grams(references[0], size)
        for words in references[1:]:
            for gram, count in grams(words, size).items():
                known[gram] = max(known[gram], count)
        sums[total] = float(max(0, len(said) - size + 1))
        sums[distinct] = float(len(own))
        sums[matched] = float(shared(own, known))
    return sums


def bleu(counts: Counts) -> Floats:
    """[...] BLEU in [0, 1]; 0 where nothing is matched or no answer has four words."""
    matched, totals = ([counts.sum_of(column) for column in columns] for columns in (_MATCHED, _GRAMS))
    halves = np.zeros(np.shape(totals[0]))
    logs = np.zeros(np.shape(totals[0]))
    for hit, total in zip(matched, totals, strict=True):
        halves = halves + ((hit == 0) & (total > 0))
        logs = logs + np.log(np.where(hit > 0, ratio(hit, total), ratio(0.5**halves, total)).clip(min=1e-300))
    said, reference = counts.total("words"), counts.total("reference_words")
    brevity = np.exp(np.minimum(0.0, 1 - np.where(said > 0, ratio(reference, said), 1.0)))
    scorable = (sum(matched) > 0) & (totals[-1] > 0)
    found: Floats = np.where(scorable, brevity * np.exp(logs / len(SIZES)), 0.0)
    return found
