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

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, tee, zip_longest
from typing import Any

import numpy as np

from tunesmith.core.errors import DataError, UsageError
from tunesmith.core.prediction import Prediction
from tunesmith.judge.forms import FORMS, Form, form_of
from tunesmith.judge.intervals import Metric, coin_draws, interval
from tunesmith.judge.ledger import Ledger
from tunesmith.judge.metrics.counts import Counts, Floats
from tunesmith.judge.score_rows import ScoreRows, replicated, score_metrics
from tunesmith.judge.scoring import row_key

Pair = tuple[Prediction, Prediction]


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
    found = drawn(first, second, kind=kind, metric=metric, seed=seed, replicates=replicates)
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
    mean = mean_drawn([drawn(one, other, kind=kind, metric=metric) for one, other in pairs])
    return _randomised(metric, mean, interval(mean.first - mean.second, mean.differences))


def mean_over_seeds(runs: Sequence[Iterable[Prediction]], *, kind: str, metric: str) -> Metric:
    """The mean of a metric over seeds, with the interval in which other rows would move it."""
    mean = mean_drawn([drawn(*tee(run), kind=kind, metric=metric) for run in runs])
    return interval(mean.first, mean.firsts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """Two models on the same rows: their metric, and what it becomes under R replicates and R random exchanges."""

    first: float
    second: float
    firsts: Floats
    """[R] of the first under every replicate"""
    differences: Floats
    """[R] first minus second under every replicate"""
    exchanged: Floats
    """[R] the same after the answers of random rows were exchanged"""
    wins: int = 0
    """Rows that only the first answers rightly"""
    losses: int = 0
    groups: bool = False
    """Whether rows belong to documents"""


def mean_drawn(found: Sequence[Drawn]) -> Drawn:
    """The mean over seeds. Draws hang on the row alone, so replicate r drew the same rows under each of them."""

    def mean(values: Iterable[Any]) -> Any:  # noqa: ANN401  # numbers or arrays of them
        return np.mean(list(values), axis=0)

    return Drawn(
        first=float(mean(one.first for one in found)),
        second=float(mean(one.second for one in found)),
        firsts=mean(one.firsts for one in found),
        differences=mean(one.differences for one in found),
        exchanged=mean(one.exchanged for one in found),
    )


def drawn(
    first: Iterable[Prediction],
    second: Iterable[Prediction],
    *,
    kind: str,
    metric: str,
    seed: int = 0,
    replicates: int = 1000,
) -> Drawn:
    """All that a test of two models needs, from one pass over their rows; raises what `paired_test` raises."""
    pairs = _same_rows(first, second)
    start = next(pairs, None)
    if start is None:
        raise DataError("there is nothing to compare", code="TS-JUDGE-004", fix="give at least one labelled row.")
    shape = form_of(start[0], kind)
    rows = chain((start,), pairs)
    if shape == "scores":
        return _drawn_scores(rows, metric=metric, seed=seed, replicates=replicates)
    return _drawn_counts(rows, FORMS[shape], metric=metric, seed=seed, replicates=replicates)


def _same_rows(first: Iterable[Prediction], second: Iterable[Prediction]) -> Iterator[Pair]:
    for one, other in zip_longest(first, second):
        if one is None or other is None or one.id != other.id or one.gold != other.gold:
            named = " and ".join(repr(row.id) if row is not None else "nothing" for row in (one, other))
            raise DataError(
                f"the two models did not answer the same rows: {named} stand side by side",
                code="TS-JUDGE-005",
                fix="predict the same file with both.",
            )
        yield one, other


def _drawn_counts(rows: Iterator[Pair], form: Form, *, metric: str, seed: int, replicates: int) -> Drawn:
    mine, theirs = Ledger(replicates=replicates), Ledger(replicates=replicates)
    exchanged = Ledger(replicates=replicates, draw=coin_draws)
    wins, losses, groups = 0, 0, False
    for one, other in rows:
        left, right, key = form.row(one), form.row(other), row_key(one, seed)
        mine.add(key, left)
        theirs.add(key, right)
        change = {column: right.get(column, 0.0) - left.get(column, 0.0) for column in left.keys() | right.keys()}
        exchanged.add(key ^ _OTHER_STREAM, {column: value for column, value in change.items() if value})
        wins += one.predicted == one.gold != other.predicted
        losses += other.predicted == one.gold != one.predicted
        groups |= one.group is not None
    number = _metric_of(form, metric)
    swap, firsts = exchanged.drawn(), number(mine.drawn())
    return Drawn(
        first=float(number(mine.exact())),
        second=float(number(theirs.exact())),
        firsts=firsts,
        # A replicate that drew nothing stays in as "no difference": without it two rows would give no width at all.
        differences=firsts - number(theirs.drawn()),
        exchanged=number(_moved(mine.exact(), swap, 1.0)) - number(_moved(theirs.exact(), swap, -1.0)),
        wins=wins,
        losses=losses,
        groups=groups,
    )


_OTHER_STREAM = 0x5DEECE66D1234567
"""Exchanges are drawn independently of the bootstrap."""


def _metric_of(form: Form, metric: str) -> Callable[[Counts], Floats]:
    def number(counts: Counts) -> Floats:
        found = form.metrics(counts)
        if metric not in found:
            raise _unknown(metric, found)
        return found[metric]

    return number


def _unknown(metric: str, known: Iterable[str]) -> UsageError:
    return UsageError(
        f"these rows have no metric {metric!r}", code="TS-JUDGE-006", fix=f"choose one of: {', '.join(known)}."
    )


def _moved(counts: Counts, change: Counts, sign: float) -> Counts:
    """[K, R] the sums after the answers of the drawn rows were exchanged."""
    columns = sorted({*counts.columns, *change.columns})
    width = change.width
    values = [
        np.broadcast_to(np.asarray(counts.sum_of(column)), (width,)) + sign * change.sum_of(column)
        for column in columns
    ]
    return Counts(columns, np.stack(values))


def _mcnemar(wins: int, losses: int) -> float:
    """The exact test of rows that only one of two models answers rightly."""
    from scipy.stats import binomtest

    return float(binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0


def _p_value(difference: float, shuffled: Floats) -> float:
    """The share of exchanges with a difference as large; never 0, since the data themselves are one of them."""
    return float((1 + np.sum(np.abs(shuffled) >= abs(difference) - 1e-12)) / (1 + len(shuffled)))


def _drawn_scores(rows: Iterator[Pair], *, metric: str, seed: int, replicates: int) -> Drawn:
    mine, theirs = ScoreRows(), ScoreRows()
    for one, other in rows:
        key = row_key(one, seed)
        mine.add(key, one)
        theirs.add(key, other)
    gold, left, right, keys = mine.gold, mine.predicted, theirs.predicted, mine.keys
    known = score_metrics(gold, left)
    if metric not in known:
        raise _unknown(metric, known)
    first, second = known[metric], score_metrics(gold, right)[metric]
    everyone = np.ones(len(gold))
    firsts = replicated(first, keys, replicates)
    differences = firsts - replicated(second, keys, replicates)
    here, there = first(everyone), second(everyone)
    if metric == "spearman":
        from scipy.stats import rankdata  # not at the top: half a second, and training does not need it

        # The models may answer on different scales, so what is exchanged is the rank.
        left, right = rankdata(left), rankdata(right)

    def exchange(coin: Floats) -> float:
        one = score_metrics(gold, np.where(coin > 0, right, left))[metric](everyone)
        return one - score_metrics(gold, np.where(coin > 0, left, right))[metric](everyone)

    shuffled = replicated(exchange, keys ^ np.uint64(_OTHER_STREAM), replicates, draw=coin_draws)
    return Drawn(first=here, second=there, firsts=firsts, differences=differences, exchanged=shuffled)


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
