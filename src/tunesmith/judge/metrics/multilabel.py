"""Several labels a row: exact sets, F1 averages, and whether the right labels stand on top of the ranking.

Reference: Tsoumakas, Katakis and Vlahavas 2010, Mining Multi-label Data (label-ranking average precision).
"""

from collections.abc import Collection, Mapping

import numpy as np

from tunesmith.judge.metrics.counts import Column, Counts, Floats, f1, macro_f1, ratio


def row(gold: Collection[str], predicted: Collection[str], scores: Mapping[str, float]) -> dict[Column, float]:
    """What one answer adds to the sums. Without `scores` it adds nothing to the ranking."""
    wanted, said = set(gold), set(predicted)
    sums: dict[Column, float] = {("rows", ""): 1.0, ("exact", ""): float(wanted == said)}
    sums |= {("gold", label): 1.0 for label in wanted}
    sums |= {("predicted", label): 1.0 for label in said}
    sums |= {("true_positive", label): 1.0 for label in wanted & said}
    if scores:
        sums |= {("ranked", ""): 1.0, ("ranking", ""): ranking_precision(wanted, scores)}
    return sums


def ranking_precision(gold: Collection[str], scores: Mapping[str, float]) -> float:
    """Mean over the gold labels of (gold labels at or above it) / (labels at or above it); 1 where all or none is gold.

    A gold label without a score ranks last.
    """
    labels = sorted(set(scores) | set(gold))
    right = np.array([label in gold for label in labels])
    if right.all() or not right.any():
        return 1.0
    values = np.array([scores.get(label, -np.inf) for label in labels])
    above = values[None, :] >= values[right][:, None]
    return float(((above & right).sum(axis=1) / above.sum(axis=1)).mean())


def metrics(counts: Counts) -> dict[str, Floats]:
    """subset_accuracy, micro_f1, macro_f1, and ranking_average_precision where scores were given, each [...]."""
    labels = counts.labels()
    hit, said, gold = (counts.by_label(name, labels) for name in ("true_positive", "predicted", "gold"))
    found = {
        "micro_f1": f1(hit.sum(axis=0), said.sum(axis=0), gold.sum(axis=0)),
        "macro_f1": macro_f1(hit, said, gold),
        "subset_accuracy": ratio(counts.total("exact"), counts.total("rows")),
    }
    if ("ranked", "") in counts.columns:
        found["ranking_average_precision"] = ratio(counts.total("ranking"), counts.total("ranked"))
    return found
