"""One label a row: accuracy, F1 averages and Matthews' correlation, all from per-label counts.

Reference: Gorodkin 2004, Comparing two K-category assignments by a K-category correlation coefficient (for `mcc`).
"""

import numpy as np

from tunesmith.judge.metrics.counts import Column, Counts, Floats, f1, macro_f1, ratio


def row(gold: str, predicted: str) -> dict[Column, float]:
    """What one answer adds to the sums."""
    sums: dict[Column, float] = {("rows", ""): 1.0, ("gold", gold): 1.0, ("predicted", predicted): 1.0}
    return sums | ({("true_positive", gold): 1.0} if gold == predicted else {})


def metrics(counts: Counts) -> dict[str, Floats]:
    """accuracy, macro_f1, micro_f1 (equal to accuracy here), weighted_f1 (by gold count) and mcc, each [...]."""
    labels = counts.labels()
    hit, said, gold = (counts.by_label(name, labels) for name in ("true_positive", "predicted", "gold"))
    rows = counts.total("rows")
    return {
        "accuracy": ratio(hit.sum(axis=0), rows),
        "macro_f1": macro_f1(hit, said, gold),
        "micro_f1": f1(hit.sum(axis=0), said.sum(axis=0), gold.sum(axis=0)),
        "weighted_f1": ratio((f1(hit, said, gold) * gold).sum(axis=0), gold.sum(axis=0)),
        "mcc": _mcc(hit, said, gold, rows),
    }


def _mcc(hit: Floats, said: Floats, gold: Floats, rows: Floats) -> Floats:
    """(c s - sum p_k t_k) / sqrt((s^2 - sum p_k^2)(s^2 - sum t_k^2)), 0 where either side used one label only."""
    covariance = hit.sum(axis=0) * rows - (said * gold).sum(axis=0)
    spread = (rows**2 - (said**2).sum(axis=0)) * (rows**2 - (gold**2).sum(axis=0))
    return ratio(covariance, np.sqrt(spread))
