"""Methods side by side: what each reaches over its seeds, what it costs, which are shown to be worse, which to take.

A score is the mean over seeds of the metric; its interval says how far it would move on other test rows; lowest and
highest are those of single seeds. Each method's mean is tested against that of the best one on the same rows and seeds,
a row with its answers under all seeds at once: they are no independent evidence (judge/paired.py).
"""

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tunesmith.core.prediction import Prediction
from tunesmith.judge.intervals import Metric
from tunesmith.judge.paired import PairedTest, mean_over_seeds, paired_over_seeds
from tunesmith.judge.stored import read_predictions
from tunesmith.judge.truth import shown
from tunesmith.run.cells import Cell
from tunesmith.run.stored_run import StoredRun, stored_run

SPLIT: Final = "test"
NEAR: Final = 0.01
"""How far below the best a method may lie to be called near it"""


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodRow:
    """One method over the seeds that are finished."""

    kind: str
    seeds: tuple[int, ...]
    score: Metric
    lowest: float
    highest: float
    against_best: PairedTest | None
    """This one minus the best on the same rows and seeds; None for the best itself, and where no seed is in common"""
    worse: bool
    """Whether it is shown to be worse than the best"""
    trained: int
    """Parameters that learn, the head among them"""
    seconds: float
    """In steps; median over seeds, as all costs"""
    tokens_per_second: float
    memory_mb: float
    gpu_mb: float | None
    bundle_bytes: int

    def as_record(self) -> dict[str, Any]:
        """JSON-ready."""
        test = self.against_best
        return {
            "method": self.kind,
            "seeds": list(self.seeds),
            "score": self.score.as_record(),
            "lowest": round(self.lowest, 6),
            "highest": round(self.highest, 6),
            "against_best": test.as_record() if test else None,
            "shown_to_be_worse": self.worse,
            "trained_parameters": self.trained,
            "seconds": round(self.seconds, 3),
            "tokens_per_second": round(self.tokens_per_second, 1),
            "peak_rss_mb": self.memory_mb,
            "peak_gpu_mb": self.gpu_mb,
            "bundle_bytes": self.bundle_bytes,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All methods, the best first, and what they say together."""

    metric: str
    rows: tuple[MethodRow, ...]
    missing: Mapping[str, str]
    """Cells that are not finished, by name, and why"""
    baselines: Mapping[str, Metric]
    """Of the first finished run, on the same split"""
    advice: tuple[tuple[str, str], ...]
    """A budget and what to take under it"""

    def as_record(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "split": SPLIT,
            "metric": self.metric,
            "methods": [row.as_record() for row in self.rows],
            "baselines": {name: metric.as_record() for name, metric in self.baselines.items()},
            "missing": dict(self.missing),
            "advice": [{"budget": budget, "take": take} for budget, take in self.advice],
        }


def comparison(cells: Sequence[Cell], *, failures: Mapping[str, str]) -> Comparison | None:
    """What the finished cells say; None where none is. `failures` tells by name why a cell is not finished."""
    found = {cell: stored_run(cell.folder) for cell in cells}
    done = {cell: run for cell, run in found.items() if run.standing.state == "finished" and run.result}
    missing = {cell.name: failures.get(cell.name) or found[cell].standing.detail for cell in cells if cell not in done}
    if not done:
        return None
    first = next(iter(done.values()))
    assert first.result is not None
    judged = first.result.splits[SPLIT]
    main, kind = judged.main, first.task or ""
    kinds = list(dict.fromkeys(cell.method for cell in done))
    of = {name: {cell.seed: run for cell, run in done.items() if cell.method == name} for name in kinds}
    best = max(kinds, key=lambda name: statistics.mean(_score(run, main) for run in of[name].values()))
    rows = [_row(name, of[name], best=of[best] if name != best else None, task=kind, main=main) for name in kinds]
    rows.sort(key=lambda row: -row.score.value)
    rivals = {name: metrics[main] for name, metrics in judged.baselines.items() if main in metrics}
    return Comparison(metric=main, rows=tuple(rows), missing=missing, baselines=rivals, advice=tuple(_advice(rows)))


def _row(
    kind: str, runs: Mapping[int, StoredRun], *, best: Mapping[int, StoredRun] | None, task: str, main: str
) -> MethodRow:
    single = [_score(run, main) for run in runs.values()]
    test = None
    if best and (common := [seed for seed in runs if seed in best]):
        pairs = [(_answers(runs[seed]), _answers(best[seed])) for seed in common]
        test = paired_over_seeds(pairs, kind=task, metric=main)
    costs = [run.result.cost for run in runs.values() if run.result]
    gpu = [float(cost["peak_gpu_mb"]) for cost in costs if cost.get("peak_gpu_mb")]
    return MethodRow(
        kind=kind,
        seeds=tuple(runs),
        score=mean_over_seeds([_answers(run) for run in runs.values()], kind=task, metric=main),
        lowest=min(single),
        highest=max(single),
        against_best=test,
        worse=test is not None and shown({"low": -test.high, "p_value": test.p_value}),
        trained=int(costs[0]["trainable_parameters"]),
        seconds=_median(costs, "seconds"),
        tokens_per_second=_median(costs, "tokens_per_second"),
        memory_mb=_median(costs, "peak_rss_mb"),
        gpu_mb=statistics.median(gpu) if gpu else None,
        bundle_bytes=_bytes(next(iter(runs.values()))),
    )


def _score(run: StoredRun, main: str) -> float:
    assert run.result is not None
    return run.result.splits[SPLIT].metrics[main].value


def _answers(run: StoredRun) -> Iterable[Prediction]:
    return read_predictions(run.folder.predictions(SPLIT))


def _median(costs: Sequence[Mapping[str, Any]], key: str) -> float:
    return float(statistics.median(float(cost[key]) for cost in costs))


def _bytes(run: StoredRun) -> int:
    return sum(file.stat().st_size for file in run.folder.bundle.iterdir())


def _advice(rows: Sequence[MethodRow]) -> Iterator[tuple[str, str]]:
    """What to take where something is scarce, among those not shown to be worse than the best or near it."""
    best = rows[0]
    near = [row for row in rows if not row.worse or best.score.value - row.score.value <= NEAR]
    budgets = (
        ("the score alone", lambda row: -row.score.value),
        ("few trained parameters", lambda row: row.trained),
        ("little time", lambda row: row.seconds),
        ("little memory", lambda row: row.gpu_mb or row.memory_mb),
    )
    for budget, cost in budgets:
        yield budget, min(near, key=cost).kind
