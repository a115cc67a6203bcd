"""From stored predictions to numbers with intervals. The loop, the report and `tunesmith evaluate` all call `score`."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.errors import DataError
from tunesmith.core.prediction import Prediction
from tunesmith.judge.forms import FORMS, Form, form_of, taken_for
from tunesmith.judge.intervals import Metric, interval, key_of
from tunesmith.judge.ledger import Ledger
from tunesmith.judge.metrics.counts import Counts, per_label
from tunesmith.judge.metrics.spans import FATES
from tunesmith.judge.score_rows import ScoreRows, replicated, score_metrics


@dataclass(frozen=True, slots=True)
class LabelScore:
    """How one label fared: `gold` and `predicted` count its entities or rows."""

    label: str
    gold: int
    predicted: int
    precision: float
    recall: float
    f1: Metric
    part: str = ""
    """Whether it is a `label` of texts or a type of `entity`, where answers hold both"""

    def as_record(self) -> dict[str, Any]:
        """A JSON-ready object."""
        return {
            "label": self.label,
            **({"part": self.part} if self.part else {}),
            "gold": self.gold,
            "predicted": self.predicted,
            "precision": round(self.precision, 6),
            "recall": round(self.recall, 6),
            "f1": self.f1.as_record(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """All that is known about one split: metrics with intervals, every label, and what was taken for what.

    `confusion` counts (gold, predicted) pairs of single labels, of the last nodes of paths, or of entity types whatever
    the boundaries, where "" stands for nothing; `fates` says what became of entities.
    """

    kind: str
    form: str
    main: str
    rows: int
    groups: bool
    truncated: int
    metrics: dict[str, Metric]
    labels: tuple[LabelScore, ...] = ()
    confusion: dict[tuple[str, str], int] | None = None
    fates: dict[str, int] | None = None

    @property
    def headline(self) -> Metric:
        """The main metric."""
        return self.metrics[self.main]

    def as_record(self) -> dict[str, Any]:
        """The entry of a split in `report.json`."""
        record: dict[str, Any] = {
            "n": self.rows,
            "form": self.form,
            "main_metric": self.main,
            "resampled_by": "document" if self.groups else "row",
            "truncated_rows": self.truncated,
            "metrics": {name: metric.as_record() for name, metric in self.metrics.items()},
            "labels": [label.as_record() for label in self.labels],
        }
        if self.confusion is not None:
            cells = sorted(self.confusion.items())
            record["confusion"] = [{"gold": g, "predicted": p, "count": count} for (g, p), count in cells]
        if self.fates is not None:
            record["entities"] = self.fates
        return record


def score(
    predictions: Iterable[Prediction], *, kind: str, main: str | None = None, seed: int = 0, replicates: int = 1000
) -> Scores:
    """Score a split in one pass.

    Rows with a `group` are resampled as whole documents. `main` names the metric that leads, if not the usual one of
    the kind. `replicates=0` leaves the intervals out (they collapse to the value), for the evaluations while training.

    Raises:
        DataError: no rows, a row without gold, or rows of different tasks.
    """
    stream = iter(predictions)
    first = next(stream, None)
    if first is None:
        raise DataError("there is nothing to score", code="TS-JUDGE-004", fix="give at least one labelled row.")
    form = form_of(first, kind)
    seen = _Seen()
    rows = seen.watch(chain((first,), stream), form)
    if form == "scores":
        return _score_rows(rows, seen, kind=kind, seed=seed, replicates=replicates)
    return _score_counts(rows, seen, kind=kind, form=FORMS[form], main=main, seed=seed, replicates=replicates)


class _Seen:
    """What is noticed about the rows on their way, whatever their form."""

    def __init__(self) -> None:
        self.rows = 0
        self.groups = False
        self.truncated = 0
        self.pairs: Counter[tuple[str, str]] = Counter()

    def watch(self, predictions: Iterable[Prediction], form: str) -> Iterator[Prediction]:
        for prediction in predictions:
            self.rows += 1
            self.groups |= prediction.group is not None
            self.truncated += prediction.truncated > 0
            self.pairs.update(taken_for(prediction, form))
            yield prediction


def row_key(prediction: Prediction, seed: int) -> int:
    """What a row is drawn with: its document, or itself."""
    return key_of(f"row {prediction.id}" if prediction.group is None else f"group {prediction.group}", seed)


def _score_rows(rows: Iterator[Prediction], seen: _Seen, *, kind: str, seed: int, replicates: int) -> Scores:
    books = ScoreRows()
    for prediction in rows:
        books.add(row_key(prediction, seed), prediction)
    gold, predicted, keys = books.gold, books.predicted, books.keys
    found = {}
    for name, number in score_metrics(gold, predicted).items():
        found[name] = interval(number(np.ones(len(gold))), replicated(number, keys, replicates))
    return Scores(
        kind=kind,
        form="scores",
        main="spearman",
        rows=seen.rows,
        groups=seen.groups,
        truncated=seen.truncated,
        metrics=found,
    )


def _score_counts(
    rows: Iterator[Prediction], seen: _Seen, *, kind: str, form: Form, main: str | None, seed: int, replicates: int
) -> Scores:
    ledger = Ledger(replicates=replicates)
    for prediction in rows:
        ledger.add(row_key(prediction, seed), form.row(prediction))
    exact, drawn = ledger.exact(), ledger.drawn()
    units = _units(exact, drawn) if seen.groups else float(seen.rows)
    evidence = units
    if form.name == "spans":
        evidence = min(units, float(exact.by_label("gold", exact.labels()).sum()))
    values, spread = form.metrics(exact), form.metrics(drawn)
    empty = _empty(drawn, spans=form.name == "spans")
    found = {
        name: interval(
            float(value),
            np.where(empty | _nothing_behind(name, form, drawn), np.nan, spread[name]),
            evidence=_behind(name, form, exact, evidence),
        )
        for name, value in values.items()
    }
    leading = main if main is not None and main in found else form.main
    return Scores(
        kind=kind,
        form=form.name,
        main=leading,
        rows=seen.rows,
        groups=seen.groups,
        truncated=seen.truncated,
        metrics={leading: found[leading]} | found,
        labels=tuple(
            label for part in form.parts for label in _labels(exact.part(part), drawn.part(part), units, part=part)
        ),
        confusion=dict(seen.pairs) if form.name in ("spans", "labels", "joint", "paths") else None,
        fates=_fates(exact.part(form.entities)) if form.entities is not None else None,
    )


def _fates(entities: Counts) -> dict[str, int]:
    return {fate: int(entities.total(f"fate:{fate}")) for fate in FATES}


def _behind(metric: str, form: Form, exact: Counts, evidence: float) -> float | None:
    """How many independent rows a metric is a share of; None where it is no share."""
    statistic = form.behind.get(metric)
    if statistic is None:
        return evidence
    return min(evidence, float(exact.total(statistic))) if statistic else None


def _nothing_behind(metric: str, form: Form, drawn: Counts) -> NDArray[np.bool_]:
    """[R] the replicates that happened to draw nothing that a metric is a share of."""
    statistic = form.behind.get(metric)
    nothing: NDArray[np.bool_] = (drawn.total(statistic) if statistic else np.ones(drawn.width)) == 0
    return nothing


def _units(exact: Counts, drawn: Counts) -> float:
    """How many independent documents the rows amount to: n^2 / sum of squared document sizes.

    The variance of the replicates' row counts is that sum, so no document has to be remembered.
    """
    rows = float(exact.total("rows"))
    return rows**2 / max(float(np.var(drawn.total("rows"))) if drawn.total("rows").size else rows, rows)


def _empty(drawn: Counts, *, spans: bool) -> NDArray[np.bool_]:
    """[R] the replicates that happened to draw nothing that could be scored."""
    if not spans:
        empty: NDArray[np.bool_] = drawn.total("rows") == 0
        return empty
    names = drawn.labels()
    nothing: NDArray[np.bool_] = (drawn.by_label("gold", names) + drawn.by_label("predicted", names)).sum(axis=0) == 0
    return nothing


def _labels(exact: Counts, drawn: Counts, units: float, *, part: str) -> tuple[LabelScore, ...]:
    names = exact.labels()
    known, replicates = per_label(exact, names), per_label(drawn, names)
    absent = replicates["gold"] + replicates["predicted"] == 0
    spread = np.where(absent, np.nan, replicates["f1"])
    return tuple(
        LabelScore(
            label=name,
            gold=int(known["gold"][i]),
            predicted=int(known["predicted"][i]),
            precision=float(known["precision"][i]),
            recall=float(known["recall"][i]),
            f1=interval(
                float(known["f1"][i]), spread[i], evidence=min(units, float(known["gold"][i] + known["predicted"][i]))
            ),
            part=part,
        )
        for i, name in enumerate(names)
    )
