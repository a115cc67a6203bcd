"""A score a row: rank and linear correlation, and the mean absolute error. Every function takes row weights.

A correlation that does not exist, because one side is constant, is 0: a constant answer ranks nothing.
"""

import numpy as np
from numpy.typing import NDArray

from tunesmith.judge.metrics.counts import Floats


def pearson(gold: Floats, predicted: Floats, weight: Floats) -> float:
    """Linear correlation of two vectors [n] under weights [n]."""
    total = weight.sum()
    if total <= 0:
        return float("nan")
    x, y = _centred(gold, weight), _centred(predicted, weight)
    spread = np.sqrt((weight @ x**2) * (weight @ y**2))
    return float(weight @ (x * y) / spread) if spread > 0 else 0.0


def _centred(values: Floats, weight: Floats) -> Floats:
    """[n] the values around their mean; all 0 where they differ by no more than rounding does.

    Each side is judged by its own size, so that neither its unit nor where its zero lies decides whether it varies.
    """
    around = values - (weight @ values) / weight.sum()
    around -= (weight @ around) / weight.sum()  # the mean of many equal values is off by more than one rounding
    varies: bool = weight @ around**2 > 1e-24 * (weight @ values**2)
    return around if varies else np.zeros_like(around)


def mean_absolute_error(gold: Floats, predicted: Floats, weight: Floats) -> float:
    """Mean of |gold - predicted| [n] under weights [n]."""
    total = weight.sum()
    return float(weight @ np.abs(gold - predicted) / total) if total > 0 else float("nan")


class Ranking:
    """The order of one vector [n], sorted once, so that midranks under many weightings are cheap."""

    def __init__(self, values: Floats) -> None:
        self._order: NDArray[np.intp] = np.argsort(values, kind="stable")
        ordered = values[self._order]
        self._first = np.searchsorted(ordered, ordered, side="left")
        self._last = np.searchsorted(ordered, ordered, side="right")

    def midranks(self, weight: Floats) -> Floats:
        """[n] the mean rank each value would have if row i stood `weight[i]` times in the list."""
        below = np.concatenate(([0.0], np.cumsum(weight[self._order])))
        ranks = np.empty(len(weight))
        ranks[self._order] = (below[self._first] + below[self._last] + 1) / 2
        return ranks


def spearman(gold: Ranking, predicted: Ranking, weight: Floats) -> float:
    """Pearson's correlation of the midranks."""
    return pearson(gold.midranks(weight), predicted.midranks(weight), weight)


def metrics(gold: Floats, predicted: Floats) -> dict[str, float]:
    """spearman, pearson and mae of two vectors [n]."""
    weight = np.ones(len(gold))
    return {
        "spearman": spearman(Ranking(gold), Ranking(predicted), weight),
        "pearson": pearson(gold, predicted, weight),
        "mae": mean_absolute_error(gold, predicted, weight),
    }
