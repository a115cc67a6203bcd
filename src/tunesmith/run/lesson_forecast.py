"""What one lesson of a run will take: its steps by a line through the measured ones, the rest by its timetable."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from tunesmith.core.duration import Duration
from tunesmith.run.figure import Figure, factors
from tunesmith.run.probe_lesson import Lesson
from tunesmith.run.timetable import Pace, Timetable, timetable
from tunesmith.tune.settings import TrainSettings

DRAWS: Final = 200
"""Resamples of the measured steps"""
PACES: Final = ((1.0, 1.0), (0.75, 0.5), (1.5, 0.5), (0.75, 3.0), (1.5, 3.0))
"""How many times as slow steps and saves may turn out: it decides when states are saved, and so how many there are."""


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


class Outlook:
    """One lesson, from its measures to its timetable."""

    def __init__(self, lesson: Lesson, settings: TrainSettings, *, thinned: float) -> None:
        """`thinned` is the share of the dev rows that were answered."""
        self.lesson = lesson
        self.settings = settings
        self.length = Duration.parse(lesson.length, zero=True)
        self.per_group, self.per_token, self.spread = fitted(lesson)
        self.step = self.per_group + self.per_token * lesson.tokens / lesson.groups
        self.evaluation = lesson.evaluation / thinned
        self.table = self.at(*PACES[0])

    def at(self, slower: float, disk: float) -> Timetable:
        """The timetable on a machine so many times as slow, with a disk so many times as slow."""
        own = self.lesson
        pace = Pace(step=self.step * slower, evaluation=(self.evaluation + own.best) * slower, save=own.save * disk)
        return timetable(self.settings, length=self.length, groups=own.groups, pace=pace)

    @property
    def timed(self) -> bool:
        """Whether its length is a time."""
        return self.length.unit == "seconds"

    @property
    def seconds(self) -> float:
        """In steps. A lesson of a given time takes that, whatever a step takes."""
        if self.timed:
            return self.length.amount
        warming: float = sum(
            step.seconds - self.per_group - self.per_token * step.tokens for step in self.lesson.warming
        )
        return self.table.steps * self.step + max(0.0, warming)

    @property
    def recalling(self) -> float:
        """To ask a frozen backbone once for each window; part of the time that a lesson may be given."""
        return 0.0 if self.timed else self.lesson.recalling

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
        table, low, high = self.table, *factors(self.spread, waited)
        steps = Figure(table.steps, table.steps, table.steps)
        if self.timed:
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

    @property
    def spared(self) -> float:
        """The share of its steps and evaluations that patience can save at most."""
        patience = self.settings.patience
        return 0.0 if patience is None else max(0.0, 1 - (patience + 1) / self.table.evaluations)

    def most(self, slower: tuple[float, float], final: float) -> Iterator[float]:
        """Most bytes at any time, `final` of them beside what is kept at the end.

        Two values: where the last state needs no copy of better weights, and where it does.
        """
        table = self.at(*slower)
        for last in (0.0, 1.0):
            during = table.states * self.lesson.state_bytes + (table.with_best - 1 + last) * self.lesson.best_bytes
            yield max(during + self.lesson.best_bytes, self.kept(table, last=last) + final)

    def kept(self, table: Timetable, *, last: float) -> float:
        """Bytes of the states and best weights that it leaves behind."""
        states = min(table.states, self.settings.keep)
        copies = min(table.with_best, self.settings.keep) - 1 + last
        return states * self.lesson.state_bytes + (copies + 1) * self.lesson.best_bytes


def fitted(lesson: Lesson) -> tuple[float, float, float]:
    """(seconds of a group, seconds of a token, relative standard error of their sum over an epoch)."""
    tokens = np.array([float(step.tokens) for step in lesson.steps])
    seconds = np.array([step.seconds for step in lesson.steps])
    mean = lesson.tokens / lesson.groups
    draw = np.random.RandomState(0)
    totals = []
    for _ in range(DRAWS):
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
