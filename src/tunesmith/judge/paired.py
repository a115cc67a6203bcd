"""Is one model better than another on the same rows, or is the difference luck?

Interval: a paired bootstrap; both models see the same replicates, so what is hard for both cancels.
p-value: approximate randomisation; if the models were equal, exchanging their answers on any document would change
nothing, so the observed difference is compared with those after random exchanges. For accuracy without documents it is
McNemar's exact test, which is the same idea counted out.
Where few rows differ the two may disagree, and neither is wrong: a replicate misses all of k differing rows with
probability e^-k, so with four of them, all against one model, the interval leaves 0 out while p is still 0.125. A
model is called better only where both say so.

References: Koehn 2004, Statistical significance tests for machine translation evaluation; Yeh 2000, More accurate tests
for the statistical significance of result differences; McNemar 1947.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import tee

import numpy as np

from tunesmith.core.prediction import Prediction
from tunesmith.judge.drawn import Drawn, drawn, mean_drawn
from tunesmith.judge.intervals import Metric, interval
from tunesmith.judge.metrics.counts import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedTest:
    """`difference` is first minus second, with its 95 % interval; `p_value` is two-sided."""

    metric: str
    first: float
    second: float
    difference: float
    low: float
    high: float
    p_value: float
    test: str

    def as_record(self) -> dict[str, float | str]:
        """A JSON-ready object."""
        numbers = {"first": self.first, "second": self.second, "difference": self.difference}
        numbers |= {"low": self.low, "high": self.high, "p_value": self.p_value}
        return {"metric": self.metric, "test": self.test} | {name: round(value, 6) for name, value in numbers.items()}


def paired_test(
    first: Iterable[Prediction],
    second: Iterable[Prediction],
    *,
    kind: str,
    metric: str,
    seed: int = 0,
    replicates: int = 1000,
) -> PairedTest:
    """Compare two models whose predictions hold the same rows in the same order.

    Raises:
        DataError: the rows are not the same.
        UsageError: the kind of task has no such metric.
    """
    (test,) = paired_tests(first, second, kind=kind, metrics=(metric,), seed=seed, replicates=replicates)
    return test


def paired_tests(
    first: Iterable[Prediction],
    second: Iterable[Prediction],
    *,
    kind: str,
    metrics: Sequence[str],
    seed: int = 0,
    replicates: int = 1000,
) -> list[PairedTest]:
    """Compare two models by several metrics in one pass over their rows; raises what `paired_test` raises."""
    found = drawn(first, second, kind=kind, metrics=metrics, seed=seed, replicates=replicates)
    return [_tested(metric, one) for metric, one in found.items()]


def _tested(metric: str, found: Drawn) -> PairedTest:
    difference = interval(found.first - found.second, found.differences)
    if metric == "accuracy" and not found.groups:
        return _result(metric, found, difference, test="McNemar", p_value=_mcnemar(found.wins, found.losses))
    return _randomised(metric, found, difference)


def paired_over_seeds(
    pairs: Sequence[tuple[Iterable[Prediction], Iterable[Prediction]]], *, kind: str, metric: str
) -> PairedTest:
    """Compare the means of two models over seeds, each pair the answers of both with one seed.

    What is drawn or exchanged is a row with its answers under all seeds: more seeds are no more rows.

    Raises:
        DataError: the rows of a pair are not the same.
        UsageError: the kind of task has no such metric.
    """
    mean = mean_drawn([drawn(one, other, kind=kind, metrics=(metric,))[metric] for one, other in pairs])
    return _randomised(metric, mean, interval(mean.first - mean.second, mean.differences))


def mean_over_seeds(runs: Sequence[Iterable[Prediction]], *, kind: str, metric: str) -> Metric:
    """The mean of a metric over seeds, with the interval in which other rows would move it."""
    mean = mean_drawn([drawn(*tee(run), kind=kind, metrics=(metric,))[metric] for run in runs])
    return interval(mean.first, mean.firsts)


def _mcnemar(wins: int, losses: int) -> float:
    """The exact test of rows that only one of two models answers rightly."""
    from scipy.stats import binomtest

    return float(binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0


def _p_value(difference: float, shuffled: Floats) -> float:
    """The share of exchanges with a difference as large; never 0, since the data themselves are one of them."""
    return float((1 + np.sum(np.abs(shuffled) >= abs(difference) - 1e-12)) / (1 + len(shuffled)))


def _randomised(metric: str, found: Drawn, difference: Metric) -> PairedTest:
    p_value = _p_value(found.first - found.second, found.exchanged)
    return _result(metric, found, difference, test="approximate randomisation", p_value=p_value)


def _result(metric: str, found: Drawn, difference: Metric, *, test: str, p_value: float) -> PairedTest:
    return PairedTest(
        metric=metric,
        first=found.first,
        second=found.second,
        difference=difference.value,
        low=difference.low,
        high=difference.high,
        p_value=p_value,
        test=test,
    )
