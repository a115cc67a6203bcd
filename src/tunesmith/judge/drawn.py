"""Two models on the same rows: each metric, and what it becomes under bootstrap replicates and random exchanges.

One pass over the rows serves every metric of a form; why replicates and exchanges answer the question is told in
`tunesmith.judge.paired`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any, TypeVar

import numpy as np

from tunesmith.core.errors import DataError, UsageError
from tunesmith.core.prediction import Prediction
from tunesmith.judge.forms import FORMS, Form, form_of
from tunesmith.judge.intervals import coin_draws
from tunesmith.judge.ledger import Ledger
from tunesmith.judge.metrics.counts import Counts, Floats
from tunesmith.judge.score_rows import ScoreRows, replicated, score_metrics
from tunesmith.judge.scoring import row_key

Pair = tuple[Prediction, Prediction]
T = TypeVar("T")


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
    metrics: Sequence[str],
    seed: int = 0,
    replicates: int = 1000,
) -> dict[str, Drawn]:
    """All that a test of two models needs, by metric, from one pass over their rows.

    Raises:
        DataError: the rows are not the same.
        UsageError: the kind of task has no such metric.
    """
    pairs = _same_rows(first, second)
    start = next(pairs, None)
    if start is None:
        raise DataError("there is nothing to compare", code="TS-JUDGE-004", fix="give at least one labelled row.")
    shape = form_of(start[0], kind)
    rows = chain((start,), pairs)
    if shape == "scores":
        return _drawn_scores(rows, metrics=metrics, seed=seed, replicates=replicates)
    return _drawn_counts(rows, FORMS[shape], metrics=metrics, seed=seed, replicates=replicates)


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


def _drawn_counts(
    rows: Iterator[Pair], form: Form, *, metrics: Sequence[str], seed: int, replicates: int
) -> dict[str, Drawn]:
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
    swap = exchanged.drawn()
    sums = (mine.exact(), theirs.exact(), mine.drawn(), theirs.drawn())
    first, second, firsts, seconds = map(form.metrics, sums)
    with_theirs, with_mine = form.metrics(_moved(sums[0], swap, 1.0)), form.metrics(_moved(sums[1], swap, -1.0))
    return {
        metric: Drawn(
            first=float(_known(first, metric)),
            second=float(second[metric]),
            firsts=firsts[metric],
            # A replicate that drew nothing stays in as "no difference": without it two rows would give no width at all.
            differences=firsts[metric] - seconds[metric],
            exchanged=with_theirs[metric] - with_mine[metric],
            wins=wins,
            losses=losses,
            groups=groups,
        )
        for metric in metrics
    }


_OTHER_STREAM = 0x5DEECE66D1234567
"""Exchanges are drawn independently of the bootstrap."""


def _known(metrics: Mapping[str, T], metric: str) -> T:
    if metric not in metrics:
        raise UsageError(
            f"these rows have no metric {metric!r}", code="TS-JUDGE-006", fix=f"choose one of: {', '.join(metrics)}."
        )
    return metrics[metric]


def _moved(counts: Counts, change: Counts, sign: float) -> Counts:
    """[K, R] the sums after the answers of the drawn rows were exchanged."""
    columns = sorted({*counts.columns, *change.columns})
    width = change.width
    values = [
        np.broadcast_to(np.asarray(counts.sum_of(column)), (width,)) + sign * change.sum_of(column)
        for column in columns
    ]
    return Counts(columns, np.stack(values))


def _drawn_scores(rows: Iterator[Pair], *, metrics: Sequence[str], seed: int, replicates: int) -> dict[str, Drawn]:
    mine, theirs = ScoreRows(), ScoreRows()
    for one, other in rows:
        key = row_key(one, seed)
        mine.add(key, one)
        theirs.add(key, other)
    return {metric: _drawn_score(mine, theirs, metric=metric, replicates=replicates) for metric in metrics}


def _drawn_score(mine: ScoreRows, theirs: ScoreRows, *, metric: str, replicates: int) -> Drawn:
    gold, left, right, keys = mine.gold, mine.predicted, theirs.predicted, mine.keys
    first, second = _known(score_metrics(gold, left), metric), score_metrics(gold, right)[metric]
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
