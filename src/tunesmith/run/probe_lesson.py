"""One lesson of a run, a few of its real steps long: how fast it learns, evaluates and saves, and what that weighs."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Self

import numpy as np
import torch

from tunesmith.core.memory import no_kernel, ran_out
from tunesmith.core.model import Model
from tunesmith.run.folder import RunFolder
from tunesmith.run.journal import Journal
from tunesmith.run.prepared import Prepared
from tunesmith.tune.checkpoint import BEST, Keeping
from tunesmith.tune.data import TrainingData, epoch_groups
from tunesmith.tune.events import Stopped, TuneEvent
from tunesmith.tune.fit import Evaluate
from tunesmith.tune.gradient import Objective
from tunesmith.tune.precision import choose, choose_device
from tunesmith.tune.saver import Saver
from tunesmith.tune.settings import TrainSettings
from tunesmith.tune.training import Training

WARMING = 3
"""The first steps, which are slower: they count as they were, and say nothing about the others."""
EPOCHS = 5
"""Epochs that the heaviest group is looked for in; each deals the same rows anew."""
RATE = 0.5
"""Share of the peak rate that the steps learn at: fast enough to answer like a trained model, too slow to break one."""

Place = tuple[int, int]
"""An epoch and a group of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step: its tokens, wall seconds, and the seconds that the main thread was on a processor."""

    tokens: int
    seconds: float
    busy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What a lesson was measured to be made of. Seconds are wall seconds, sizes bytes."""

    name: str
    before: float
    """Until its first step: windows encoded, model in training form, fingerprints taken"""
    length: str
    groups: int
    """Of an epoch"""
    tokens: int
    """Of an epoch"""
    recalling: float
    """To ask a backbone that does not learn once for each window; 0 where it learns. No part of a step here"""
    recalled_bytes: int
    """What is kept of it in memory at the end of an epoch, beside what the steps here met; 0 where it learns"""
    warming: tuple[Step, ...]
    steps: tuple[Step, ...]
    evaluation: float
    """Of the dev rows it was given"""
    best: float
    """To put the best weights aside"""
    best_bytes: int
    save: float
    """To save a state with a copy of the best weights"""
    state_bytes: int
    """Of a state without that copy"""
    pieces: int
    """In which batches went through the model; more than 1 where memory ran out"""
    device: str
    precision: str

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """What `dataclasses.asdict` made of one."""
        measured = {name: tuple(Step(**step) for step in record[name]) for name in ("warming", "steps")}
        return cls(**{**record, **measured})


@dataclass(frozen=True, slots=True, kw_only=True)
class LessonProbe:
    """What the lessons of a probe share."""

    ready: Prepared
    model: Model
    evaluate: Evaluate | None
    steps: int
    """Groups to learn from"""
    tell: Callable[[str], None]

    def of(self, name: str, data: Callable[[], TrainingData], settings: TrainSettings, folder: RunFolder) -> Lesson:
        """Learn some groups of a lesson, evaluate, save into `folder`, and put the best weights back.

        Raises:
            TunesmithError: what would stop the run itself.
        """
        begin = time.perf_counter()
        training = _training(self.ready, self.model, data(), settings)
        saver = Saver(training, Keeping(folder=folder.checkpoints))
        before = time.perf_counter() - begin
        journal = _Notes(Journal(folder.journal), self.ready.task.main_metric)
        journal.note(training.started())
        measured = []
        try:
            places = _chosen(training, self.steps)
            for number, place in enumerate(places, start=1):
                self.tell(f"{name}: step {number} of {len(places)}")
                measured.append(_step(training, place, journal))
            self.tell(f"{name}: evaluating and saving")
            judged, best, best_bytes = None, 0.0, 0
            if self.evaluate:
                judged = training.evaluate(self.evaluate)
                journal.note(judged)
                begin = time.perf_counter()
                saver.save_best()
                best = time.perf_counter() - begin
                best_bytes = sum(file.stat().st_size for file in (folder.checkpoints / BEST).iterdir())
            _step(training, places[-1], journal)  # so that the state holds a copy of the best weights as well
            saved = saver.save()
            if judged:
                training.take(saver.load_best(judged.step))
        finally:
            training.close()
        journal.note(_stopped(training))
        return Lesson(
            name=name,
            before=before,
            length=str(training.length),
            groups=training.progress.groups,
            tokens=training.data.tokens(range(len(training.data.encodings))),
            recalling=training.recall.seconds_for_all() if training.recall else 0.0,
            recalled_bytes=training.recall.bytes_to_come if training.recall else 0,
            warming=tuple(measured[:WARMING]),
            steps=tuple(measured[WARMING:]) or tuple(measured),
            evaluation=judged.seconds if judged else 0.0,
            best=best,
            best_bytes=best_bytes,
            save=saved.seconds,
            state_bytes=saved.bytes - best_bytes,
            pieces=training.progress.pieces,
            device=training.device.type,
            precision=training.choice.precision,
        )


@dataclass(frozen=True, slots=True)
class _Notes:
    """A journal that knows what is scored."""

    journal: Journal
    metric: str

    def note(self, event: TuneEvent) -> None:
        self.journal.note(event, metric=self.metric)


def _training(ready: Prepared, model: Model, data: TrainingData, settings: TrainSettings) -> Training:
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    device = choose_device(settings.device)
    choice = choose(settings.precision, width=model.backbone.width, device=device)
    objective = Objective(model, ready.task, ready.config.regularizers, ready.config.method.guide(model))
    return Training(objective, data, settings=settings, choice=choice, device=device)


def _chosen(training: Training, steps: int) -> list[Place]:
    """Groups of the run: some spread evenly over the sizes of the first epoch, in random order, then the heaviest."""
    heaviest = _heaviest(training)
    sizes = [sum(map(training.data.tokens, group)) for group in epoch_groups(training.data, training.settings, 0)]
    order = sorted(range(len(sizes)), key=lambda index: sizes[index])
    count = min(max(steps - len(heaviest), 1), len(order))
    spread = [(0, order[(2 * index + 1) * len(order) // (2 * count)]) for index in range(count)]
    return [spread[index] for index in np.random.RandomState(0).permutation(count)] + heaviest


def _heaviest(training: Training) -> list[Place]:
    """The groups with the largest batch, by tokens and by pairs of tokens that see each other."""
    lengths = np.array([len(encoding) for encoding in training.data.encodings])
    found: dict[int, tuple[int, Place]] = {}
    for place, group in _groups(training):
        for batch in group:
            own = lengths[list(batch)]
            for power in (1, 2):
                weight = int((own**power).sum())
                if weight > found.get(power, (0, place))[0]:
                    found[power] = weight, place
    return sorted({place for _, place in found.values()})


def _groups(training: Training) -> Iterator[tuple[Place, list[tuple[int, ...]]]]:
    """The groups of the run in their order, those of `EPOCHS` epochs at most."""
    length, groups = training.length, training.progress.groups
    wanted = {"epochs": length.amount * groups, "steps": length.amount, "seconds": EPOCHS * groups}[length.unit]
    every = (
        ((epoch, number), group)
        for epoch in range(EPOCHS)
        for number, group in enumerate(epoch_groups(training.data, training.settings, epoch))
    )
    return islice(every, math.ceil(wanted))


def _step(training: Training, place: Place, journal: _Notes) -> Step:
    """One step on a group of any epoch, its batches cut smaller where memory does not hold them, as in a run."""
    training.progress.epoch, training.progress.group = place
    training.plan()
    while True:
        try:
            recalled = training.recall.seconds if training.recall else 0.0
            begin, busy = time.perf_counter(), time.thread_time()
            stepped = training.step(rate=RATE * (training.settings.learning_rate or 0.0))
            taken, busy = time.perf_counter() - begin, time.thread_time() - busy
            recalled = (training.recall.seconds if training.recall else 0.0) - recalled
            break
        except (MemoryError, RuntimeError) as error:
            if not ran_out(error):
                raise
            broken = no_kernel(error)
        training.halve(broken=broken)
    journal.note(stepped)
    return Step(tokens=stepped.tokens, seconds=taken - recalled, busy=busy * (1 - recalled / taken))


def _stopped(training: Training) -> Stopped:
    progress = training.progress
    return Stopped(
        step=progress.step,
        epoch=progress.epochs,
        reason="finished",
        best_score=progress.best_score,
        best_step=progress.best_step,
        tokens=progress.tokens,
        seconds=progress.seconds,
    )
