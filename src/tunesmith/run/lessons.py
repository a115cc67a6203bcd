"""From what was prepared to a trained model: the lessons of a run, each one pass of the loop with its own saved states.

A run has one lesson, its training rows, or two, where silver pairs are learnt ahead of them.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tunesmith.core.errors import MissingInputError, Place
from tunesmith.core.example import Example
from tunesmith.core.method import REFERENCE_WIDTH
from tunesmith.core.model import Model
from tunesmith.core.seed import derived
from tunesmith.models.precision import Choice
from tunesmith.models.surgery import apply_method
from tunesmith.run.config import SilverSettings
from tunesmith.run.dev_score import dev_score
from tunesmith.run.events import Noted, Phase, RunEvent
from tunesmith.run.folder import RunFolder
from tunesmith.run.journal import Journal
from tunesmith.run.mining import with_mined
from tunesmith.run.prepared import Prepared
from tunesmith.run.silver import read_learnt, read_silver, silver_pairs, write_learnt, write_silver
from tunesmith.tune.checkpoint import Keeping, SavedState, newest
from tunesmith.tune.events import DONE, Started, Stopped
from tunesmith.tune.fit import Evaluate, Objective, TrainingData, fit
from tunesmith.tune.precision import choose_device
from tunesmith.tune.settings import TrainSettings


def tuned_model(ready: Prepared) -> Model:
    """The backbone with a head that knows what can be known before the first step, and the method's wrappers."""
    torch.manual_seed(derived(ready.config.seed, "head"))
    model = Model(ready.backbone, ready.task.head(ready.backbone))
    ready.task.begin(model.head, ready.backbone, tokenizer=ready.tokenizer, examples=ready.data.train)
    apply_method(model, ready.config.method)
    return model


def training_data(ready: Prepared) -> TrainingData:
    """The windows of the training rows."""
    return windows_of(ready, with_mined(ready, ready.data.train), seed=ready.config.seed)


def saved_state(folder: RunFolder) -> SavedState:
    """The newest whole state of a run.

    Raises:
        MissingInputError: there is none, and a run never begins from scratch unasked.
    """
    state = newest(folder.checkpoints)
    if state is None:
        raise MissingInputError(
            "there is no saved state to go on from",
            code="TS-RUN-008",
            place=Place(file=str(folder.checkpoints)),
            fix="the run was stopped before its first save: delete the folder and start again without --resume.",
        )
    return state


def settings_of(ready: Prepared) -> TrainSettings:
    """The settings with the method's own learning rate for this width where none is given."""
    config = ready.config
    rate = config.train.learning_rate or config.method.learning_rate * REFERENCE_WIDTH / ready.backbone.width
    return config.train.model_copy(update={"learning_rate": rate})


def trained(
    ready: Prepared, model: Model, folder: RunFolder, *, resume: bool, should_stop: Callable[[], str | None]
) -> Generator[RunEvent, None, Stopped]:
    """The lessons of the run: silver pairs where there are any, then the training rows. Without rows there is none."""
    if not ready.data.train:
        return (yield from _unlearnt(ready, model, folder))
    lessons = _Lessons(ready, model, dev_score(ready, should_stop), should_stop)
    state = None
    if ready.config.silver:
        stopped = yield from lessons.rehearsed(ready.config.silver, folder.silver, resume=resume)
        if stopped and stopped.reason not in DONE:
            return stopped
        state = newest(folder.checkpoints) if resume else None  # none where the run stopped between the lessons
    elif resume and not ready.config.train.learns_nothing:
        state = saved_state(folder)
    yield Phase("training", f"{ready.config.backbone}, method {ready.config.method.kind()}")
    return (yield from lessons.learnt(training_data(ready), folder, settings_of(ready), state=state))


def _unlearnt(ready: Prepared, model: Model, folder: RunFolder) -> Generator[RunEvent, None, Stopped]:
    """A model that answers as it began; the journal says so, for whoever reads it as that of any run."""
    yield Phase("describing", f"{len(ready.task.label_names)} labels, no rows to learn from")
    model.requires_grad_(False)
    started = Started(
        step=0,
        steps=0,
        steps_per_epoch=0,
        precision=Choice("fp32", "nothing is learnt"),
        device=str(choose_device(ready.config.train.device)),
        threads=torch.get_num_threads(),
        learning_rate=0.0,
        trainable=0,
        frozen=sum(parameter.numel() for parameter in model.parameters()),
        vocabulary=None,
    )
    stopped = Stopped(step=0, epoch=0.0, reason="finished", best_score=None, best_step=None, tokens=0, seconds=0.0)
    journal = Journal(folder.journal)
    journal.rewind(-1)
    for event in (started, stopped):
        journal.note(event, metric=ready.task.main_metric)
        yield event
    return stopped


@dataclass(frozen=True, slots=True)
class _Lessons:
    """What the lessons of a run share."""

    ready: Prepared
    model: Model
    evaluate: Evaluate | None
    should_stop: Callable[[], str | None]

    def rehearsed(
        self, wanted: SilverSettings, folder: RunFolder, *, resume: bool
    ) -> Generator[RunEvent, None, Stopped | None]:
        """The lesson of silver pairs, once through; None where a run that goes on has it behind it."""
        if resume and folder.learnt.is_dir():
            read_learnt(folder, self.model)
            return None
        yield Phase("rehearsing", f"training texts in new pairs, as {self.ready.config.backbone} finds them alike")
        state = saved_state(folder) if resume else None
        if state is None:
            silver = silver_pairs(self.ready, wanted.pairs)
            write_silver(folder, silver.examples)
            yield Noted(
                f"{len(silver.examples):,} silver pairs; on the training rows such scores agree with gold by a "
                f"Spearman correlation of {silver.agreement:.3f}"
            )
        data = windows_of(self.ready, read_silver(folder), seed=derived(self.ready.config.seed, "silver"))
        stopped = yield from self.learnt(data, folder, silver_settings(self.ready, wanted), state=state)
        if stopped.reason in DONE:
            write_learnt(folder, self.model)
        return stopped

    def learnt(
        self, data: TrainingData, folder: RunFolder, settings: TrainSettings, *, state: SavedState | None
    ) -> Generator[RunEvent, None, Stopped]:
        """One pass of the loop, with its journal and its saved states in `folder`."""
        journal = Journal(folder.journal)
        journal.rewind(state.step if state else 0)
        task, regularizers = self.ready.task, self.ready.config.regularizers
        events = fit(
            Objective(self.model, task, regularizers, self.ready.config.method.guide(self.model)),
            data,
            settings=settings,
            evaluate=self.evaluate,
            keeping=Keeping(folder=folder.checkpoints, should_stop=self.should_stop, resume=state),
        )
        for event in events:
            journal.note(event, metric=task.dev_metric)
            yield event
            if isinstance(event, Started):
                yield from map(Noted, event.notes)
            if isinstance(event, Stopped):
                return event
        raise RuntimeError("the loop ended without saying why")


def silver_settings(ready: Prepared, wanted: SilverSettings) -> TrainSettings:
    """The settings of the lesson of silver pairs."""
    own: dict[str, Any] = {"length": wanted.length, "evaluate_every": None, "patience": None}
    if wanted.learning_rate:
        own["learning_rate"] = wanted.learning_rate
    if wanted.batch_size:
        own |= {"batch_size": wanted.batch_size, "batch_tokens": None}
    return settings_of(ready).model_copy(update=own)


def windows_of(ready: Prepared, rows: Sequence[Example], *, seed: int) -> TrainingData:
    """The windows of these rows, to be learnt in the order that `seed` decides."""
    encodings = ready.task.encode(rows, ready.tokenizer)
    return TrainingData(
        encodings=encodings, ids=[example.id for example in rows], seed=seed, whole=ready.task.compares_windows
    )
