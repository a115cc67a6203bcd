"""The books of rows that carry a score: ranks need all values, so two floats and a key a row are kept, nothing else."""

from array import array
from collections.abc import Callable

import numpy as np

from tunesmith.core.prediction import Prediction
from tunesmith.judge.intervals import Draw, Keys, poisson_draws
from tunesmith.judge.metrics.counts import Floats
from tunesmith.judge.metrics.scores import Ranking, mean_absolute_error, pearson, spearman
from tunesmith.judge.sides import unfit

Number = Callable[[Floats], float]


class ScoreRows:
    """Gold and predicted scores of n rows."""

    def __init__(self) -> None:
        self._gold = array("d")
        self._predicted = array("d")
        self._keys = array("Q")

    def add(self, key: int, prediction: Prediction) -> None:
        """Book one row; rows with one key are drawn together."""
        gold, predicted = prediction.gold, prediction.predicted
        if not isinstance(gold, int | float) or not isinstance(predicted, int | float):
            raise unfit(prediction, "a number on both sides")
        self._gold.append(gold)
        self._predicted.append(predicted)
        self._keys.append(key)

    @property
    def gold(self) -> Floats:
        """[n]"""
        return np.array(self._gold, dtype=np.float64)

    @property
    def predicted(self) -> Floats:
        """[n]"""
        return np.array(self._predicted, dtype=np.float64)

    @property
    def keys(self) -> Keys:
        """[n]"""
        return np.array(self._keys, dtype=np.uint64)


def score_metrics(gold: Floats, predicted: Floats) -> dict[str, Number]:
    """spearman, pearson and mae of vectors [n], each as a function of row weights [n]."""
    first, second = Ranking(gold), Ranking(predicted)
    return {
        "spearman": lambda weight: spearman(first, second, weight),
        "pearson": lambda weight: pearson(gold, predicted, weight),
        "mae": lambda weight: mean_absolute_error(gold, predicted, weight),
    }


def replicated(number: Number, keys: Keys, replicates: int, *, draw: Draw = poisson_draws) -> Floats:
    """[R] a number under every replicate; the weights of 64 replicates stand in memory at a time."""
    found: list[float] = []
    for first in range(0, replicates, 64):
        last = min(first + 64, replicates)
        weights = _columns(keys, first, last, draw=draw)
        found += [number(weight) for weight in weights.T]
    return np.array(found)


def _columns(keys: Keys, first: int, last: int, *, draw: Draw) -> Floats:
    """[n, last - first] the weights of some replicates, a block of rows at a time."""
    blocks = [draw(keys[start : start + 4096], last)[:, first:last] for start in range(0, len(keys), 4096)]
    return np.concatenate(blocks).astype(np.float64)
