"""Sums over rows: all that a metric needs, so that a split of any size is scored in the memory of its labels.

A row contributes a few numbers, each under a column `(statistic, label)`; `""` is the label of what has none. Metrics
are functions of the sums. The sums may carry a second axis, one entry per bootstrap replicate: a metric neither knows
nor cares.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Column = tuple[str, str]
Row = Mapping[Column, float]
Floats = NDArray[np.float64]


class Counts:
    """Named sums. Shapes: K columns, `...` nothing or R replicates."""

    def __init__(self, columns: Sequence[Column], values: Floats) -> None:
        """`values` [K, ...] are the sums of `columns` [K]."""
        self._index = {column: position for position, column in enumerate(columns)}
        self._values = values

    @classmethod
    def of(cls, rows: Sequence[Row]) -> "Counts":
        """The sums of a few rows, for whoever has them all."""
        sums: dict[Column, float] = {}
        for row in rows:
            for column, value in row.items():
                sums[column] = sums.get(column, 0.0) + value
        return cls(list(sums), np.array(list(sums.values()), dtype=np.float64))

    @property
    def columns(self) -> tuple[Column, ...]:
        """[K] what is summed."""
        return tuple(self._index)

    @property
    def width(self) -> int:
        """R, or 0 where there are no replicates."""
        return self._values.shape[1] if self._values.ndim > 1 else 0

    def part(self, name: str) -> "Counts":
        """The books that begin with a name, where a row keeps several: `label gold` is `gold` in those of `label`.

        All of them under the empty name.
        """
        if not name:
            return self
        kept = [(statistic.removeprefix(f"{name} "), label) for statistic, label in self._index]
        places = [at for at, (statistic, _) in enumerate(self._index) if statistic.startswith(f"{name} ")]
        return Counts([kept[at] for at in places], self._values[places])

    def total(self, statistic: str) -> Floats:
        """[...] the sum of a statistic that has no label; zeros where no row had it."""
        return self.sum_of((statistic, ""))

    def by_label(self, statistic: str, labels: Sequence[str]) -> Floats:
        """[C, ...] the sums of a statistic for each of `labels`."""
        if not labels:
            return np.zeros((0, *self._values.shape[1:]))
        return np.stack([self.sum_of((statistic, label)) for label in labels])

    def labels(self) -> tuple[str, ...]:
        """Every label that any statistic has, sorted."""
        return tuple(sorted({label for _, label in self._index if label}))

    def sum_of(self, column: Column) -> Floats:
        """[...] the sum of one column; zeros where no row had it."""
        position = self._index.get(column)
        if position is None:
            return np.zeros(self._values.shape[1:])
        found: Floats = self._values[position]
        return found


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """`numerator / denominator`, 0 where nothing was counted (as scikit-learn's `zero_division=0`)."""
    return np.divide(numerator, denominator, out=np.zeros(np.shape(numerator)), where=denominator != 0)


def f1(true_positive: Floats, predicted: Floats, gold: Floats) -> Floats:
    """The harmonic mean of precision and recall: 2 tp / (predicted + gold)."""
    return ratio(2 * true_positive, predicted + gold)


def macro_f1(true_positive: Floats, predicted: Floats, gold: Floats) -> Floats:
    """[...] the mean F1 of the labels [C, ...] that occur in gold or predicted; a label nobody used is no evidence."""
    used = (predicted + gold) > 0
    return ratio((f1(true_positive, predicted, gold) * used).sum(axis=0), used.sum(axis=0).astype(np.float64))


def per_label(counts: Counts, labels: Sequence[str]) -> dict[str, Floats]:
    """[C, ...] precision, recall, f1, and the counts behind them (`gold`, `predicted`, `true_positive`)."""
    hit, said, gold = (counts.by_label(name, labels) for name in ("true_positive", "predicted", "gold"))
    return {
        "precision": ratio(hit, said),
        "recall": ratio(hit, gold),
        "f1": f1(hit, said, gold),
        "gold": gold,
        "predicted": said,
        "true_positive": hit,
    }
