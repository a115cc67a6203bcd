"""The runs below a folder, one row each: what a person wants to see of twenty runs side by side."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from tunesmith.core.errors import MissingInputError, Place, UsageError
from tunesmith.judge.intervals import Metric
from tunesmith.run.standing import STATES, State
from tunesmith.run.stored_run import StoredRun, looks_like_a_run, stored_run

DEPTH = 3
"""Folders below the one that is listed in which runs are looked for."""
Order = Literal["began", "name", "state", "score", "seconds"]
ORDERS: tuple[Order, ...] = get_args(Order)


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A main metric on one split; the loop's own scores on dev have no interval."""

    split: str
    metric: str
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One run of a listing. What is not known is None."""

    name: str
    """Its folder, seen from the one that is listed"""
    state: State
    detail: str
    done: float | None
    """Share of the lesson that it is at, in [0, 1]"""
    task: str | None
    method: str | None
    backbone: str | None
    score: Score | None
    seconds: float | None
    """Time in steps"""
    tokens_per_second: float | None
    peak_rss_mb: float | None
    """Of 10^6 bytes"""
    peak_gpu_mb: float | None
    """The same of the GPU; None where none was used"""
    began: float | None
    """Seconds since the epoch"""

    def as_record(self) -> dict[str, Any]:
        """A JSON-ready object."""
        return asdict(self)


def catalogue(folder: Path, *, order: str = "began", task: str | None = None) -> list[Row]:
    """The runs below `folder`, or the run that it is; newest first, or as `order` says. `task` keeps one kind.

    Raises:
        MissingInputError: there is no such folder.
        UsageError: an order that there is not.
    """
    _require_order(order)
    if not folder.is_dir():
        raise MissingInputError(
            "there is no such folder",
            code="TS-RUN-024",
            place=Place(file=str(folder)),
            fix="name the folder that holds your runs; `tunesmith train CONFIG` writes them below runs/.",
        )
    rows = [row(stored_run(path), _name(path, folder)) for path in _runs(folder, DEPTH)]
    return sorted((one for one in rows if task in (None, one.task)), key=lambda one: _rank(one, order))


def _require_order(name: str) -> None:
    if name not in ORDERS:
        raise UsageError(f"cannot sort by {name!r}", code="TS-RUN-023", fix=f"choose one of: {', '.join(ORDERS)}.")


def row(run: StoredRun, name: str) -> Row:
    """What a listing says of one run."""
    cost = run.result.cost if run.result else {}
    seconds, tokens = sum(lesson.seconds for lesson in run.lessons), sum(lesson.tokens for lesson in run.lessons)
    return Row(
        name=name,
        state=run.standing.state,
        detail=run.standing.detail,
        done=run.newest.done if run.newest else None,
        task=run.task,
        method=run.method,
        backbone=run.backbone,
        score=score_of(run),
        seconds=_number(cost.get("seconds")) or (round(seconds, 3) if run.lessons else None),
        tokens_per_second=_number(cost.get("tokens_per_second")) or (round(tokens / seconds, 1) if seconds else None),
        peak_rss_mb=_number(cost.get("peak_rss_mb")),
        peak_gpu_mb=_number(cost.get("peak_gpu_mb")),
        began=run.began,
    )


def score_of(run: StoredRun) -> Score | None:
    """The main metric where the run was judged, else its last score on dev."""
    if run.result and run.standing.state != "running":
        split = run.result.splits[run.result.split]
        found: Metric = split.metrics[split.main]
        return Score(split=run.result.split, metric=split.main, value=found.value, low=found.low, high=found.high)
    course = run.newest
    if course is None or course.metric is None or course.score is None:
        return None
    return Score(split="dev", metric=course.metric, value=course.score)


def _runs(folder: Path, depth: int) -> Iterator[Path]:
    """Every folder that looks like a run, and nothing inside one. A link may be a run; links lead no further."""
    if looks_like_a_run(folder):
        yield folder
    elif depth == DEPTH or (depth and not folder.is_symlink()):
        try:
            below = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
        except OSError:  # a folder that may not be read holds no run of ours
            return
        for path in below:
            yield from _runs(path, depth - 1)


def _name(path: Path, folder: Path) -> str:
    return path.resolve().name if path == folder else path.relative_to(folder).as_posix()


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _rank(one: Row, order: str) -> tuple[object, ...]:
    """What rows are sorted by; the newest of equals first, and what is not known last."""
    age = -one.began if one.began is not None else float("inf")
    match order:
        case "name":
            return (one.name,)
        case "state":
            return (STATES.index(one.state), age, one.name)
        case "score":  # scores of one metric stand together, those on test before those on dev
            known = (one.score.metric, one.score.split == "dev", -one.score.value) if one.score else ()
            return (one.score is None, *known, age, one.name)
        case "seconds":
            return (one.seconds is None, one.seconds or 0.0, one.name)
        case _:
            return (age, one.name)
