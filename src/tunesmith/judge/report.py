"""`report.json`: every number of a run, computed from stored predictions, the verdict first."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tunesmith.core.prediction import Prediction
from tunesmith.judge.paired import paired_test
from tunesmith.judge.scoring import score
from tunesmith.judge.truth import verdict

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What a report says beside the scores. Every mapping is JSON-ready and shown as it is."""

    task: str
    name: str = ""
    cost: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)


def judge_split(
    predictions: Iterable[Prediction],
    baselines: Mapping[str, Iterable[Prediction]],
    *,
    kind: str,
    main: str | None = None,
    seed: int = 0,
    replicates: int = 1000,
) -> dict[str, Any]:
    """The entry of one split: metrics with intervals, labels, confusion, baselines with paired tests.

    `predictions` and `baselines` are read more than once: give lists, or `read_predictions(path)`.

    Raises:
        DataError: no rows, rows without gold, or baselines that answered other rows.
    """
    scores = score(predictions, kind=kind, main=main, seed=seed, replicates=replicates)
    rivals = {}
    for name, answers in baselines.items():
        theirs = score(answers, kind=kind, main=main, seed=seed, replicates=replicates)
        test = paired_test(
            predictions, answers, kind=kind, metric=scores.main, seed=seed, replicates=max(replicates, 100)
        )
        metrics = {key: metric.as_record() for key, metric in theirs.metrics.items()}
        rivals[name] = {"metrics": metrics, "test": test.as_record()}
    return scores.as_record() | {"baselines": rivals}


def build_report(splits: Mapping[str, dict[str, Any]], facts: RunFacts) -> dict[str, Any]:
    """`report.json` from the splits that `judge_split` judged. The headline is the verdict on `test`, else on the last.

    Raises:
        ValueError: there is no split.
    """
    if not splits:
        raise ValueError("a report needs at least one split")
    named = headline_split(splits)
    found = verdict(named, splits[named])
    return {
        "schema": SCHEMA,
        "headline": found.english,
        "headline_zh": found.chinese,
        "verdict": found.standing,
        "best_baseline": found.baseline,
        "name": facts.name,
        "task": facts.task,
        "headline_split": named,
        "splits": dict(splits),
        "cost": dict(facts.cost),
        "environment": dict(facts.environment),
        "data": dict(facts.data),
        "config": dict(facts.config),
    }


def headline_split(splits: Mapping[str, Any]) -> str:
    """The split that speaks for the run."""
    return "test" if "test" in splits else list(splits)[-1]
