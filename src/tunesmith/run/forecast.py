"""From what a probe measured to what the run will take, each figure with an interval.

    steps      a * groups + b * tokens, by least squares over the measured groups; as the order of the data is known, so
               are the groups and tokens of the run. Resampling the measured groups tells how uncertain the sum is
    the rest   what was timed in full as it is; what was thinned, in proportion to its rows; each with an error of its
               own, since it was measured once

The probe and the run do not meet the same machine. Without any neighbour, clocks and caches still move by a tenth; and
where the main thread waited for a processor in the probe (wall over processor seconds, 1 on an idle machine), the
neighbours that it waited for may leave, and others come. Both are allowed for on a logarithmic scale:

    low  = value * exp(-sqrt(spread^2 + DRIFT_DOWN^2) - WAITED ln(wall / processor))
    high = value * exp(+sqrt(spread^2 + DRIFT_UP^2)   + WAITED ln(wall / processor))

Memory is the probe's own peak. What a probe does not show is how the allocator's remainders grow over many steps and
rows, which only ever adds: the interval reaches further up than down.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from tunesmith.core.duration import Duration
from tunesmith.run.probe import Probed
from tunesmith.run.probe_lesson import Lesson
from tunesmith.run.prober import Probe
from tunesmith.run.timetable import Pace, Timetable, timetable
from tunesmith.tune.settings import TrainSettings

DRIFT_DOWN: Final = 0.12
DRIFT_UP: Final = 0.18
WAITED: Final = 0.5
MEMORY_DOWN: Final = 0.09
MEMORY_UP: Final = 0.14
DISK: Final = 0.01
"""Of what is written: names, dates and counts differ by a few bytes"""
ANSWERS: Final = 0.2
"""Of stored answers: a model that has learnt finds other spans than one that has not"""
_REFERENCE_ROWS: Final = 1000
_REFERENCE_PASSES: Final = 2.2
"""What describing a row of dev costs in the bundle, in answers: it is answered, and read once more in small batches"""
_DRAWS: Final = 200
_PACES: Final = ((1.0, 1.0), (0.75, 0.5), (1.5, 0.5), (0.75, 3.0), (1.5, 3.0))
"""How many times as slow steps and saves may turn out, for what depends on it: when a state is saved, and how many are"""
ONCE: Final = 0.15
"""Relative error of a stage that is measured only once, with nothing to average over"""


@dataclass(frozen=True, slots=True)
class Figure:
    """A prediction with its interval."""

    value: float
    low: float
    high: float

    def __add__(self, other: "Figure") -> "Figure":
        """The sum where both err the same way."""
        return Figure(self.value + other.value, self.low + other.low, self.high + other.high)

    def as_record(self) -> dict[str, float]:
        """JSON-ready."""
        return {"value": round(self.value, 3), "low": round(self.low, 3), "high": round(self.high, 3)}


@dataclass(frozen=True, slots=True, kw_only=True)
class LessonForecast:
    """What one lesson of the run will do."""

    name: str
    steps: Figure
    epochs: float
    evaluations: int
    saves: int
    seconds: float
    """In steps"""
    patience: int | None
    """Evaluations without a better score that end it early, None where it always goes to its end"""
    pieces: int
    """In which memory lets batches through the model"""

    def as_record(self) -> dict[str, Any]:
        """JSON-ready."""
        own = {"name": self.name, "steps": self.steps.as_record(), "epochs": round(self.epochs, 3)}
        own |= {"evaluations": self.evaluations, "saves": self.saves, "seconds": round(self.seconds, 3)}
        return own | {"patience": self.patience, "pieces": self.pieces}


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a run will take."""

    seconds: Figure
    """From the start of the command to its end"""
    memory: Figure
    """Most bytes of the process"""
    device_memory: Figure | None
    """Most bytes of the GPU"""
    running: Figure
    """Most bytes in the run folder at any time"""
    bundle: Figure
    """Bytes of the bundle"""
    stages: dict[str, float]
    """Seconds of each part of the run, in order"""
    lessons: tuple[LessonForecast, ...]
    device: str
    precision: str
    waited: float
    """Wall over processor seconds of the probe's steps; 1 on an idle machine"""

    def as_record(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "seconds": self.seconds.as_record(),
            "memory_bytes": self.memory.as_record(),
            "device_memory_bytes": self.device_memory.as_record() if self.device_memory else None,
            "disk_bytes": {"running": self.running.as_record(), "bundle": self.bundle.as_record()},
            "stages": {name: round(seconds, 3) for name, seconds in self.stages.items()},
            "lessons": [lesson.as_record() for lesson in self.lessons],
            "device": self.device,
            "precision": self.precision,
            "waited": round(self.waited, 3),
        }


def forecast(probe: Probe) -> Forecast:
    """What the probed run will take."""
    found = probe.found
    plans = [_Lesson(lesson, settings, found) for lesson, settings in zip(found.lessons, found.settings, strict=True)]
    waited = _waited(found.lessons)
    after = _after(found)
    stages = {"reading": probe.starting + found.reading + found.building, "pairing": found.pairing}
    stages["training"] = sum(plan.lesson.before + plan.seconds for plan in plans)
    stages["evaluating"] = sum(plan.evaluating for plan in plans)
    stages["saving"] = sum(plan.saving for plan in plans)
    stages |= after
    stages["bundling"] += probe.leaving
    last = found.lessons[-1]
    device = Figure(found.device_peak, found.device_peak, found.device_peak * 1.1) if found.device_peak else None
    bundle = Figure(*(found.bundle_bytes * factor for factor in (1.0, 1 - DISK, 1 + DISK)))
    return Forecast(
        seconds=_seconds(stages, plans, waited),
        memory=Figure(found.peak, found.peak * (1 - MEMORY_DOWN), found.peak * (1 + MEMORY_UP)),
        device_memory=device,
        running=_running(found, plans),
        bundle=bundle,
        stages={name: seconds for name, seconds in stages.items() if seconds},
        lessons=tuple(plan.forecast(waited) for plan in plans),
        device=last.device,
        precision=last.precision,
        waited=waited,
    )


class _Lesson:
    """One lesson, from its measures to its timetable."""

    def __init__(self, lesson: Lesson, settings: TrainSettings, found: Probed) -> None:
        self.lesson = lesson
        self.settings = settings
        self.length = Duration.parse(lesson.length)
        self.per_group, self.per_token, self.spread = fitted(lesson)
        self.step = self.per_group + self.per_token * lesson.tokens / lesson.groups
        self.evaluation = lesson.evaluation * found.rows[0] / found.seen[0]
        self.table = self.at(*_PACES[0])

    def at(self, slower: float, disk: float) -> Timetable:
        """The timetable on a machine so many times as slow, with a disk so many times as slow."""
        own = self.lesson
        pace = Pace(step=self.step * slower, evaluation=(self.evaluation + own.best) * slower, save=own.save * disk)
        return timetable(self.settings, length=self.length, groups=own.groups, pace=pace)

    @property
    def seconds(self) -> float:
        """In steps. A lesson of a given time takes that, whatever a step takes."""
        if self.length.unit == "seconds":
            return self.length.amount
        warming = sum(step.seconds - self.per_group - self.per_token * step.tokens for step in self.lesson.warming)
        return self.table.steps * self.step + max(0.0, warming)

    @property
    def evaluating(self) -> float:
        """In evaluations, every one of them a new best."""
        return self.table.evaluations * (self.evaluation + self.lesson.best)

    @property
    def saving(self) -> float:
        """In saving states."""
        return self.table.saves * self.lesson.save

    def forecast(self, waited: float) -> LessonForecast:
        """What a person is told of it."""
        table, low, high = self.table, *_factors(self.spread, waited)
        steps = Figure(table.steps, table.steps, table.steps)
        if self.length.unit == "seconds":
            steps = Figure(table.steps, math.floor(table.steps / high), math.ceil(table.steps / low))
        return LessonForecast(
            name=self.lesson.name,
            steps=steps,
            epochs=table.epochs,
            evaluations=table.evaluations,
            saves=table.saves,
            seconds=self.seconds,
            patience=self.settings.patience,
            pieces=self.lesson.pieces,
        )


def fitted(lesson: Lesson) -> tuple[float, float, float]:
    """(seconds of a group, seconds of a token, relative standard error of their sum over an epoch)."""
    tokens = np.array([float(step.tokens) for step in lesson.steps])
    seconds = np.array([step.seconds for step in lesson.steps])
    mean = lesson.tokens / lesson.groups
    draw = np.random.RandomState(0)
    totals = []
    for _ in range(_DRAWS):
        chosen = draw.randint(len(tokens), size=len(tokens))
        group, token = _line(tokens[chosen], seconds[chosen])
        totals.append(group + token * mean)
    group, token = _line(tokens, seconds)
    return group, token, float(np.std(totals)) / (group + token * mean)


def _line(tokens: np.ndarray, seconds: np.ndarray) -> tuple[float, float]:
    """Least squares with neither coefficient below zero."""
    spread = tokens - tokens.mean()
    slope = float(spread @ seconds / (spread @ spread)) if spread.any() else 0.0
    slope = min(max(slope, 0.0), float(seconds.mean() / tokens.mean()))
    return float(seconds.mean() - slope * tokens.mean()), slope


def _waited(lessons: tuple[Lesson, ...]) -> float:
    steps = [step for lesson in lessons for step in lesson.steps]
    return max(1.0, sum(step.seconds for step in steps) / max(sum(step.busy for step in steps), 1e-9))


def _factors(spread: float, waited: float) -> tuple[float, float]:
    waiting = WAITED * math.log(waited)
    down, up = math.hypot(spread, DRIFT_DOWN), math.hypot(spread, DRIFT_UP)
    return math.exp(-down - waiting), math.exp(up + waiting)


def _after(found: Probed) -> dict[str, float]:
    """Seconds of the stages after training, for all rows of dev and test."""
    dev, test = (rows / seen for rows, seen in zip(found.rows, found.seen, strict=True))
    scale = sum(found.rows) / sum(found.seen)
    answering = found.answers[0] * dev + found.answers[1] * test
    judging = found.baselines + (found.judging - found.baselines) * scale
    described = min(found.rows[0], _REFERENCE_ROWS) - min(found.seen[0], _REFERENCE_ROWS)
    answer = min(seconds / rows for seconds, rows in zip(found.answers, found.seen, strict=True))
    return {"judging": answering + judging, "bundling": found.bundling + _REFERENCE_PASSES * answer * described}


def _seconds(stages: dict[str, float], plans: list[_Lesson], waited: float) -> Figure:
    """All stages together. What is given as a time does not drift; what patience may end can end early."""
    total = sum(stages.values())
    given = sum(plan.seconds for plan in plans if plan.length.unit == "seconds")
    moving = total - given
    counted = [plan for plan in plans if plan.length.unit != "seconds"]
    once = moving - sum(plan.seconds for plan in counted)
    doubts = [ONCE * once, *(plan.seconds * plan.spread for plan in counted)]
    low, high = _factors(math.hypot(*doubts) / moving, waited)
    sure = moving - sum(_spared(plan) for plan in plans)
    return Figure(total, given + sure * low, given + moving * high)


def _spared(plan: _Lesson) -> float:
    """Seconds of steps and evaluations that patience can save at most."""
    patience, table = plan.settings.patience, plan.table
    if patience is None or table.evaluations <= patience + 1:
        return 0.0
    share = 1 - (patience + 1) / table.evaluations
    return share * (plan.evaluating + (0.0 if plan.length.unit == "seconds" else plan.seconds))


def _running(found: Probed, plans: list[_Lesson]) -> Figure:
    """The most bytes in the run folder: while a state is written beside those kept, or at the end."""
    answered = found.row_bytes * sum(found.rows) / sum(found.seen)
    journal = found.step_bytes * sum(plan.table.steps + plan.table.evaluations for plan in plans)
    fixed = found.other_bytes + journal
    for plan in plans[:-1]:
        fixed += found.silver_bytes + _kept(plan, plan.table, last=0.0)
    final = found.bundle_bytes + answered
    sizes = [size for slower in _PACES for size in _most(plans[-1], slower, final)]
    doubt = ANSWERS * answered
    low, high = (1 - DISK) * (fixed + min(sizes)) - doubt, (1 + DISK) * (fixed + max(sizes)) + doubt
    return Figure(fixed + sizes[0], low, high)


def _most(plan: _Lesson, slower: tuple[float, float], final: float) -> Iterator[float]:
    """Bytes where the last state needs no copy of better weights, and where it does."""
    table = plan.at(*slower)
    for last in (0.0, 1.0):
        during = table.states * plan.lesson.state_bytes + (table.with_best - 1 + last) * plan.lesson.best_bytes
        yield max(during + plan.lesson.best_bytes, _kept(plan, table, last=last) + final)


def _kept(plan: _Lesson, table: Timetable, *, last: float) -> float:
    """Bytes of the states and best weights that a lesson leaves behind."""
    states = min(table.states, plan.settings.keep)
    best = min(table.with_best, plan.settings.keep) - 1 + last
    return states * plan.lesson.state_bytes + best * plan.lesson.best_bytes + plan.lesson.best_bytes
