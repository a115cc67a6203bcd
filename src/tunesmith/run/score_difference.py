"""Two runs on the same test rows: which is better, by how much, and whether that could be chance."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tunesmith.core.prediction import LabelAndScoredSpans, Prediction, ScoredNode, ScoredSpan
from tunesmith.judge.common_rows import CommonRows, common_rows
from tunesmith.judge.forms import right
from tunesmith.judge.paired import PairedTest, paired_tests
from tunesmith.judge.paired_labels import LabelDifference, label_differences
from tunesmith.judge.scoring import score
from tunesmith.judge.stored import read_predictions
from tunesmith.judge.truth import METRIC_NAMES, p_in_words, shown
from tunesmith.run.stored_run import StoredRun

SEED = 0
"""Of the draws, so that the same two runs always give the same interval."""
Winner = Literal["a", "b"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreDifference:
    """Every difference is B minus A: in a test or a label of this, B stands first."""

    sentence: str
    winner: Winner | None
    """Which is shown to be better; None where neither is, or nothing could be tested"""
    split: str
    rows: CommonRows | None = None
    tests: tuple[PairedTest, ...] = ()
    """The main metric first"""
    labels: tuple[LabelDifference, ...] = ()
    right: Mapping[str, int] | None = None
    """Rows that `both`, `only_a`, `only_b` or `neither` answered rightly; None where answers are scores"""

    def as_record(self) -> dict[str, Any]:
        """A JSON-ready object."""
        rows = self.rows
        compared = rows and {"common": len(rows.first), "a": rows.first_rows, "b": rows.second_rows}
        return {
            "sentence": self.sentence,
            "winner": self.winner,
            "split": self.split,
            "rows": compared,
            "left_out": rows.left_out() if rows else "",
            "right": self.right,
            "metrics": [_test_record(test) for test in self.tests],
            "labels": [_label_record(label) for label in self.labels],
        }


def score_difference(a: StoredRun, b: StoredRun, *, split: str = "test") -> ScoreDifference:
    """Compare the stored answers of two runs on the rows that both answered.

    Raises:
        DataError: stored answers that are damaged.
    """
    if why := _why_not(a, b, split):
        return ScoreDifference(sentence=f"Not compared: {why}.", winner=None, split=split)
    stored = [read_predictions(run.folder.predictions(split)) for run in (a, b)]
    rows = common_rows(*stored)
    if not rows.first:
        none = f"Not compared: they have no {split} row in common ({rows.left_out() or 'one has none'})."
        return ScoreDifference(sentence=none, winner=None, split=split, rows=rows)
    kind = a.task or ""
    tests = _tests(rows, kind=kind, main=_main(a, split))
    pairs = zip(rows.second, rows.first, strict=True)
    sentence, winner = _said(tests[0], rows, split)
    return ScoreDifference(
        sentence=sentence,
        winner=winner,
        split=split,
        rows=rows,
        tests=tests,
        labels=tuple(label_differences(pairs, kind=kind, seed=SEED)),
        right=_right(rows, kind),
    )


def _why_not(a: StoredRun, b: StoredRun, split: str) -> str | None:
    for name, run in (("A", a), ("B", b)):
        if run.task is None:
            return f"the task of {name} is not known ({run.standing.detail})"
        if not run.folder.predictions(split).is_file():
            return f"{name} has no stored answers on {split}; it is {run.standing.state}"
    return None if a.task == b.task else f"they are of different tasks, {a.task} and {b.task}"


def _main(run: StoredRun, split: str) -> str | None:
    judged = run.result.splits.get(split) if run.result else None
    return judged.main if judged else run.newest.metric if run.newest else None


def _tests(rows: CommonRows, *, kind: str, main: str | None) -> tuple[PairedTest, ...]:
    scores = score(rows.first, kind=kind, main=main, replicates=0)
    metrics = sorted(scores.metrics, key=lambda name: name != scores.main)
    return tuple(paired_tests(rows.second, rows.first, kind=kind, metrics=metrics, seed=SEED))


def _said(test: PairedTest, rows: CommonRows, split: str) -> tuple[str, Winner | None]:
    metric, _ = METRIC_NAMES.get(test.metric, (test.metric, ""))
    where = f"the same {len(rows.first):,} {split} rows"
    if not rows.all_of_both:
        sizes = f"A has {rows.first_rows:,}, B {rows.second_rows:,}"
        where = f"the {len(rows.first):,} {split} rows that both answered ({sizes})"
    if all(_answer(one) == _answer(other) for one, other in zip(rows.first, rows.second, strict=True)):
        return f"A and B give the same answers on {where}: {metric} {test.second:.3f}.", None
    facts = f"{metric} {test.second:.3f} for A and {test.first:.3f} for B on {where}"
    size = f"difference {test.difference:+.3f} [{test.low:+.3f}, {test.high:+.3f}], {p_in_words(test.p_value)}"
    better = shown({"low": test.low, "p_value": test.p_value})
    worse = shown({"low": -test.high, "p_value": test.p_value})
    if not (better or worse):
        return f"Neither is shown to be better: {facts}, {size}. It may be chance.", None
    lead = "B is better than A" if better else "A is better than B"
    return f"{lead}: {facts}, {size}. It is unlikely to be chance.", "b" if better else "a"


def _right(rows: CommonRows, kind: str) -> dict[str, int] | None:
    if right(rows.first[0], kind) is None:
        return None
    names = {(True, True): "both", (True, False): "only_a", (False, True): "only_b", (False, False): "neither"}
    found = dict.fromkeys(names.values(), 0)
    for one, other in zip(rows.first, rows.second, strict=True):
        found[names[bool(right(one, kind)), bool(right(other, kind))]] += 1
    return found


def _answer(row: Prediction) -> object:
    said = row.predicted
    if isinstance(said, LabelAndScoredSpans):
        return said.plain()
    if isinstance(said, tuple):
        return {_sure(item) for item in said}
    return said


def _sure(item: object) -> object:
    """A part of an answer without its confidence."""
    match item:
        case ScoredSpan():
            return item.span()
        case ScoredNode():
            return item.label
    return item


def _test_record(test: PairedTest) -> dict[str, Any]:
    record = test.as_record()
    return {"metric": record.pop("metric"), "a": record.pop("second"), "b": record.pop("first"), **record}


def _label_record(one: LabelDifference) -> dict[str, Any]:
    numbers = {"a": one.second, "b": one.first, "difference": one.difference.value}
    numbers |= {"low": one.difference.low, "high": one.difference.high}
    part = {"part": one.part} if one.part else {}
    return {"label": one.label, **part, "gold": one.gold} | {name: round(value, 6) for name, value in numbers.items()}
