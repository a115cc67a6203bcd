"""From what was prepared to a trained model: the lessons of a run, each one pass of the loop with its own saved states.

A run has one lesson, its training rows, or two, where silver pairs are learnt ahead of them.
"""

from collections.abc import Callable, Generator, Sequence
from typing import Any

import torch

from tunesmith.core.errors import MissingInputError, Place
from tunesmith.core.example import Example
from tunesmith.core.method import REFERENCE_WIDTH
from tunesmith.core.model import Model
from tunesmith.core.seed import derived
from tunesmith.judge.scoring import score
from tunesmith.models.inference import logits_of
from tunesmith.models.surgery import apply_method
from tunesmith.run.config import SilverSettings
from tunesmith.run.events import Noted, Phase, RunEvent
from tunesmith.run.folder import RunFolder
from tunesmith.run.journal import Journal
from tunesmith.run.prepared import Prepared
from tunesmith.run.silver import read_learnt, read_silver, silver_pairs, write_learnt, write_silver
from tunesmith.tune.checkpoint import Keeping, SavedState, newest
from tunesmith.tune.events import Stopped
from tunesmith.tune.fit import TrainingData, fit
from tunesmith.tune.settings import TrainSettings

DONE = ("finished", "patience")
"""Reasons to stop after which the model is judged."""


def tuned_model(ready: Prepared) -> Model:
    """The backbone with a fresh head and the method's wrappers in place."""
    torch.manual_seed(derived(ready.config.seed, "head"))
    model = Model(ready.backbone, ready.task.head(ready.backbone))
    apply_method(model, ready.config.method)
    return model


def training_data(ready: Prepared) -> TrainingData:
    """The windows of the training rows."""
    return _windows(ready, ready.data.train, seed=ready.config.seed)


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
    """The lessons of the run: silver pairs where there are any, then the training rows."""
    settings = settings_of(ready)
    if ready.config.silver:
        stopped = yield from _rehearsed(
            ready, model, folder.silver, ready.config.silver, resume=resume, should_stop=should_stop
        )
        if stopped and stopped.reason not in DONE:
            return stopped
        resume = resume and newest(folder.checkpoints) is not None
    yield Phase("training", f"{ready.config.backbone}, method {ready.config.method.kind()}")
    return (
        yield from _lesson(
            ready,
            model,
            training_data(ready),
            folder,
            settings,
            state=saved_state(folder) if resume else None,
            should_stop=should_stop,
        )
    )


def _rehearsed(
    ready: Prepared,
    model: Model,
    folder: RunFolder,
    wanted: SilverSettings,
    *,
    resume: bool,
    should_stop: Callable[[], str | None],
) -> Generator[RunEvent, None, Stopped | None]:
    """The lesson of silver pairs, once through; None where a run that goes on has it behind it."""
    if resume and folder.learnt.is_dir():
        read_learnt(folder, model)
        return None
    yield Phase("rehearsing", f"training texts in new pairs, as {ready.config.backbone} finds them alike")
    state = saved_state(folder) if resume else None
    if state is None:
        silver = silver_pairs(ready, wanted.pairs)
        write_silver(folder, silver.examples)
        yield Noted(
            f"{len(silver.examples):,} silver pairs; on the training rows such scores agree with gold by a Spearman "
            f"correlation of {silver.agreement:.3f}"
        )
    stopped = yield from _lesson(
        ready,
        model,
        _windows(ready, read_silver(folder), seed=derived(ready.config.seed, "silver")),
        folder,
        _silver_settings(ready, wanted),
        state=state,
        should_stop=should_stop,
    )
    if stopped.reason in DONE:
        write_learnt(folder, model)
    return stopped


def _silver_settings(ready: Prepared, wanted: SilverSettings) -> TrainSettings:
    own: dict[str, Any] = {"length": wanted.length, "evaluate_every": None, "patience": None}
    if wanted.learning_rate:
        own["learning_rate"] = wanted.learning_rate
    if wanted.batch_size:
        own |= {"batch_size": wanted.batch_size, "batch_tokens": None}
    return settings_of(ready).model_copy(update=own)


def _lesson(
    ready: Prepared,
    model: Model,
    data: TrainingData,
    folder: RunFolder,
    settings: TrainSettings,
    *,
    state: SavedState | None,
    should_stop: Callable[[], str | None],
) -> Generator[RunEvent, None, Stopped]:
    """One pass of the loop, with its journal and its saved states in `folder`."""
    journal = Journal(folder.journal)
    journal.rewind(state.step if state else 0)
    main = ready.task.main_metric
    windows = ready.task.encode(ready.data.dev, ready.tokenizer)

    def dev_score(model: Model) -> float:
        logits = [tensor for _, tensor in logits_of(model, windows)]
        answers = ready.task.decode(ready.data.dev, windows, logits, head=model.head)
        task = ready.task.tuned(answers)
        if task != ready.task:  # the step that serves best with its thresholds is the one to keep
            answers = task.decode(ready.data.dev, windows, logits, head=model.head)
        return score(answers, kind=ready.task.kind(), main=main, replicates=0).metrics[main].value

    events = fit(
        model,
        ready.task,
        data,
        settings=settings,
        regularizers=ready.config.regularizers,
        evaluate=dev_score,
        keeping=Keeping(folder=folder.checkpoints, should_stop=should_stop, resume=state),
    )
    for event in events:
        journal.note(event, metric=main)
        yield event
        if isinstance(event, Stopped):
            return event
    raise RuntimeError("the loop ended without saying why")


def _windows(ready: Prepared, rows: Sequence[Example], *, seed: int) -> TrainingData:
    encodings = ready.task.encode(rows, ready.tokenizer)
    return TrainingData(encodings=encodings, ids=[example.id for example in rows], seed=seed)
