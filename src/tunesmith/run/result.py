"""What a finished run scored and cost, taken out of `report.json` with every number where it is expected."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from tunesmith.judge.intervals import Metric


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitResult:
    """One split: its rows, its metrics with intervals, and those of each baseline."""

    rows: int
    main: str
    metrics: Mapping[str, Metric]
    baselines: Mapping[str, Mapping[str, Metric]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A report, as far as runs are listed and compared by it."""

    headline: str
    verdict: str
    split: str
    """The one that speaks for the run"""
    splits: Mapping[str, SplitResult]
    cost: Mapping[str, Any]
    environment: Mapping[str, Any]

    @classmethod
    def of(cls, report: Mapping[str, Any]) -> Self:
        """The result in a report.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: not a report, or one of another version.
        """
        found = cls(
            headline=str(report["headline"]),
            verdict=str(report["verdict"]),
            split=report["headline_split"],
            splits={name: _split(record) for name, record in report["splits"].items()},
            cost=dict(report["cost"]),
            environment=dict(report["environment"]),
        )
        if found.split not in found.splits:
            raise ValueError("no such split")
        return found


def _split(record: Mapping[str, Any]) -> SplitResult:
    metrics = _metrics(record["metrics"])
    if record["main_metric"] not in metrics:
        raise ValueError("no main metric")
    return SplitResult(
        rows=int(record["n"]),
        main=record["main_metric"],
        metrics=metrics,
        baselines={name: _metrics(rival["metrics"]) for name, rival in record["baselines"].items()},
    )


def _metrics(records: Mapping[str, Any]) -> dict[str, Metric]:
    return {name: Metric(*(float(one[part]) for part in ("value", "low", "high"))) for name, one in records.items()}
