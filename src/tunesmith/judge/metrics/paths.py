"""Paths down a tree of labels: F1 over their nodes, exact paths, and how far down answers are right.

    hierarchical precision    nodes of an answer that are on the gold path / nodes of an answer
    hierarchical recall       the same / nodes of the gold path

Both are sums over rows; the root, which is on every path, is left out. An answer that stops at the parent of the gold
label loses recall and no precision; one that guesses a wrong child loses both.

Reference: Kiritchenko et al. 2006, Learning and evaluation in the presence of class hierarchies: application to text
categorization.
"""

from collections.abc import Sequence

import numpy as np

from tunesmith.judge.metrics.counts import Column, Counts, Floats, f1, ratio

DEEPEST = 16
"""Levels whose accuracy is told"""
LEVELS = tuple(range(1, DEEPEST + 1))
BEHIND = {f"level_{level}_accuracy": f"level_{level}" for level in LEVELS}
"""The metrics of one level, and what counts the rows whose gold path reaches it."""


def row(gold: Sequence[str], said: Sequence[str]) -> dict[Column, float]:
    """What one answer adds to the sums, from the nodes on the way down to the gold label and to the answer."""
    sums: dict[Column, float] = {("rows", ""): 1.0, ("exact", ""): float(list(gold) == list(said))}
    sums |= {("gold", node): 1.0 for node in gold}
    sums |= {("predicted", node): 1.0 for node in said}
    sums |= {("true_positive", node): 1.0 for node in set(gold) & set(said)}
    for level, node in zip(LEVELS, gold, strict=False):
        sums[f"level_{level}", ""] = 1.0
        sums[f"level_{level}_accuracy", ""] = float(node in said)
    return sums


def metrics(counts: Counts) -> dict[str, Floats]:
    """hierarchical_f1, _precision and _recall, path_accuracy, and level_N_accuracy of the rows that reach level N.

    Each is [...]; a level that a replicate did not draw is NaN there.
    """
    nodes = counts.labels()
    hit, said, gold = (counts.by_label(name, nodes).sum(axis=0) for name in ("true_positive", "predicted", "gold"))
    found = {
        "hierarchical_f1": f1(hit, said, gold),
        "hierarchical_precision": ratio(hit, said),
        "hierarchical_recall": ratio(hit, gold),
        "path_accuracy": ratio(counts.total("exact"), counts.total("rows")),
    }
    for name, level in BEHIND.items():
        if (level, "") in counts.columns:
            total = counts.total(level)
            found[name] = np.where(total > 0, ratio(counts.total(name), total), np.nan)
    return found
