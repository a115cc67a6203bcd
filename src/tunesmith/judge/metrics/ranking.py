"""Ranked documents: how many of those that answer a question are found, and how high up.

    recall@k    relevant documents among the first k / relevant documents
    mrr@10      1 / rank of the first relevant document, 0 beyond rank 10
    ndcg@10     sum over the first 10 of grade / log2(rank + 1), divided by the same for the best possible order

Each is a mean over questions. Grades enter as they are, as in scikit-learn's `ndcg_score`.
Reference: Järvelin & Kekäläinen 2002, Cumulated gain-based evaluation of IR techniques; Voorhees 1999, The TREC-8
question answering track report (reciprocal rank).
"""

from collections.abc import Mapping, Sequence
from math import log2

from tunesmith.judge.metrics.counts import Column, Counts, Floats, ratio

DEPTH = 10
"""Ranks that reciprocal rank and gain look at"""
RECALLS = (1, 5, 10)
NAMES = ("ndcg_at_10", "mrr_at_10", *(f"recall_at_{depth}" for depth in RECALLS))


def row(grades: Mapping[str, float], found: Sequence[str]) -> dict[Column, float]:
    """What one question adds to the sums: `grades` of its relevant documents by id, the ids `found`, the best first."""
    gains = [grades.get(name, 0.0) for name in found[:DEPTH]]
    first = next((rank for rank, gain in enumerate(gains, start=1) if gain > 0), None)
    ideal = _discounted(sorted(grades.values(), reverse=True)[:DEPTH])
    sums: dict[Column, float] = {("rows", ""): 1.0}
    sums["ndcg_at_10", ""] = _discounted(gains) / ideal if ideal else 0.0
    sums["mrr_at_10", ""] = 1 / first if first else 0.0
    for depth in RECALLS:
        hits = sum(name in grades for name in found[:depth])
        sums[f"recall_at_{depth}", ""] = hits / len(grades) if grades else 0.0
    return {column: value for column, value in sums.items() if value}


def metrics(counts: Counts) -> dict[str, Floats]:
    """ndcg_at_10, mrr_at_10 and recall_at_1, 5 and 10, each [...]."""
    rows = counts.total("rows")
    return {name: ratio(counts.total(name), rows) for name in NAMES}


def _discounted(gains: Sequence[float]) -> float:
    return sum(gain / log2(rank + 1) for rank, gain in enumerate(gains, start=1))
