"""One few-shot run over several draws of its rows: what it reaches on average, and how much that hangs on the draw.

A single draw says little: which few rows were labelled moves a score by more than most methods do. Every draw answers
the same test rows. The interval says how far the mean would move on other test rows; deviation (of a sample, n - 1),
lowest and highest are over the draws.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.judge.intervals import Metric
from tunesmith.judge.paired import mean_over_seeds
from tunesmith.judge.stored import read_predictions
from tunesmith.run.cells import Cell
from tunesmith.run.comparison import SPLIT
from tunesmith.run.config import RunConfig
from tunesmith.run.result import SplitResult
from tunesmith.run.stored_run import StoredRun, stored_run


@dataclass(frozen=True, slots=True)
class Spread:
    """A score over draws."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Over the draws."""
        return statistics.mean(self.values)

    @property
    def deviation(self) -> float | None:
        """Standard deviation over the draws; None for one draw."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    def as_record(self) -> dict[str, Any]:
        """JSON-ready."""
        deviation = None if self.deviation is None else round(self.deviation, 6)
        ends = {"lowest": round(min(self.values), 6), "highest": round(max(self.values), 6)}
        return {"mean": round(self.mean, 6), "deviation": deviation, **ends}


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawRow:
    """One draw that is finished."""

    draw: int
    rows: int
    """To learn from"""
    score: Metric
    baseline: float | None
    """Of the baseline that is best on average"""
    seconds: float

    def as_record(self) -> dict[str, Any]:
        """JSON-ready."""
        facts = {"draw": self.draw, "rows": self.rows, "score": self.score.as_record()}
        return facts | {"baseline": self.baseline, "seconds": round(self.seconds, 3)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """All draws, and what they say together."""

    metric: str
    test_rows: int
    rows: tuple[DrawRow, ...]
    score: Spread
    on_other_rows: Metric
    """The mean, with its interval over test rows"""
    rival: str | None
    """The baseline that is best on average"""
    baseline: Spread | None
    missing: Mapping[str, str]
    """Draws that are not finished, by name, and why"""

    @property
    def above(self) -> int:
        """Draws on which the model scores above the baseline."""
        return sum(row.baseline is not None and row.score.value > row.baseline for row in self.rows)

    def as_record(self) -> dict[str, Any]:
        """JSON-ready."""
        baseline = None
        if self.baseline:
            baseline = {"name": self.rival, **self.baseline.as_record(), "below_in_draws": self.above}
        return {
            "split": SPLIT,
            "metric": self.metric,
            "test_rows": self.test_rows,
            "score": self.score.as_record() | {"interval": self.on_other_rows.as_record()},
            "baseline": baseline,
            "draws": [row.as_record() for row in self.rows],
            "missing": dict(self.missing),
        }


def draw_cells(config: RunConfig, table: Mapping[str, Any], *, draws: int, folder: Path) -> list[Cell]:
    """A cell for each draw from 0. `table` is what `config` was read from."""
    data = dict(table.get("data", {}))
    return [
        Cell(
            method=config.method.kind(),
            seed=config.seed,
            draw=draw,
            table={**table, "data": data | {"draw": draw}},
            folder=folder / f"draw{draw}",
        )
        for draw in range(draws)
    ]


def over_draws(cells: Sequence[Cell], *, failures: Mapping[str, str]) -> Draws | None:
    """What the finished cells say; None where none is. `failures` tells by name why a cell is not finished."""
    found = [(cell, stored_run(cell.folder)) for cell in cells]
    done = [(cell, run) for cell, run in found if run.standing.state == "finished" and cell.name not in failures]
    finished = {cell.name for cell, _ in done}
    missing = {
        cell.name: failures.get(cell.name) or run.standing.detail for cell, run in found if cell.name not in finished
    }
    judged = [_judged(run) for _, run in done]
    if not judged:
        return None
    main = judged[0].main
    rival = _best_baseline(judged, main)
    rivals = [split.baselines[rival][main].value if rival else None for split in judged]
    kind = done[0][1].task or ""
    answers = [read_predictions(run.folder.predictions(SPLIT)) for _, run in done]
    return Draws(
        metric=main,
        test_rows=judged[0].rows,
        rows=tuple(
            DrawRow(
                draw=cell.draw or 0,
                rows=int(run.fact("counts", "train") or 0),
                score=split.metrics[main],
                baseline=below,
                seconds=float(run.result.cost["seconds"]) if run.result else 0.0,
            )
            for (cell, run), split, below in zip(done, judged, rivals, strict=True)
        ),
        score=Spread(tuple(split.metrics[main].value for split in judged)),
        on_other_rows=mean_over_seeds(answers, kind=kind, metric=main),
        rival=rival,
        baseline=Spread(tuple(value for value in rivals if value is not None)) if rival else None,
        missing=missing,
    )


def _judged(run: StoredRun) -> SplitResult:
    assert run.result is not None, "a finished run has a result"
    return run.result.splits[SPLIT]


def _best_baseline(judged: Sequence[SplitResult], main: str) -> str | None:
    """The baseline with the highest mean, of those that every draw has."""
    common = set.intersection(*({name for name, own in split.baselines.items() if main in own} for split in judged))
    return max(
        sorted(common),
        key=lambda name: statistics.mean(split.baselines[name][main].value for split in judged),
        default=None,
    )
