"""One run from configuration to bundle, as a generator of events: reading, training, judging, bundling.

Nothing here decides anything a configuration could not: each stage is a call into the room that owns it.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import torch

from tunesmith.bundle.answered import answered, likelihoods_of
from tunesmith.bundle.collection import Collection, collection_of
from tunesmith.core.memory import give_back
from tunesmith.core.model import Model
from tunesmith.core.prediction import Prediction
from tunesmith.core.task import LabellingTask, RankingTask, Task, WritingTask
from tunesmith.judge.stored import write_predictions
from tunesmith.models.surgery import merge
from tunesmith.run.config import RunConfig
from tunesmith.run.dev_score import cut_short_by
from tunesmith.run.events import Finished, Interrupted, Noted, Phase, RunEvent
from tunesmith.run.folder import RunFolder, read_json
from tunesmith.run.lessons import trained, tuned_model
from tunesmith.run.lock import locked
from tunesmith.run.prepared import Prepared, prepared
from tunesmith.run.results import UNTUNED, bundled, judged, write_adapter_of, write_inputs
from tunesmith.run.same_run import require_same_run
from tunesmith.run.tracking import require_trackers, tracked
from tunesmith.tune.events import DONE
from tunesmith.tune.fit import CutShort
from tunesmith.tune.precision import choose_device

CHUNK = 1024
"""Examples answered between two signs of progress."""


def run(
    config: RunConfig,
    folder: RunFolder,
    *,
    origins: Mapping[str, str],
    resume: bool = False,
    should_stop: Callable[[], str | None] = lambda: None,
) -> Iterator[RunEvent]:
    """Train, judge and bundle, writing into `folder`; the last event is `Finished` or `Interrupted`.

    Raises:
        TunesmithError: whatever is wrong with data, model, configuration or disk, with place and remedy.
    """
    with locked(folder.path):
        if resume and folder.bundle.is_dir() and folder.report.is_file():
            yield Noted("this run is complete already; nothing was done")
            yield Finished(folder.path, read_json(folder.report))
            return
        require_trackers(config.trackers)
        yield Phase("reading", next(iter(config.data.files.values())))
        ready = prepared(config, rejects=folder.path)
        yield from (Noted(note) for note in (*ready.notes, f"audit: {ready.audit.status}; {ready.data.sizes()}"))
        if resume:
            require_same_run(folder, ready)
        write_inputs(folder, ready, origins)
        work = _worked(ready, folder, resume=resume, should_stop=should_stop)
        yield from tracked(work, ready, folder, resumed=resume)


def _worked(
    ready: Prepared, folder: RunFolder, *, resume: bool, should_stop: Callable[[], str | None]
) -> Iterator[RunEvent]:
    """From what was prepared to the last event."""
    model = tuned_model(ready)
    if isinstance(ready.task, WritingTask | RankingTask) and not folder.predictions(UNTUNED).exists():
        yield Phase("judging", "what the model answers before it is tuned")
        with _lent(model, choose_device(ready.config.train.device)):
            collection = _collection(ready, model, progress=lambda _: None)
            rows = _answers(ready, model, ready.task, "test", collection=collection, progress=lambda _: None)
            wrote = write_predictions(folder.predictions(UNTUNED), rows)
        yield Noted(f"{wrote} answers on test by the untuned model")
    stopped = yield from trained(ready, model, folder, resume=resume, should_stop=should_stop)
    if stopped.reason not in DONE:
        yield Interrupted(stopped.step, stopped.reason, folder.path)
        return
    try:
        for event in concluded(ready, model, folder, cut_short_by(should_stop)):
            if should_stop() and not isinstance(event, Finished):
                raise CutShort
            yield event
    except CutShort:
        yield Interrupted(stopped.step, should_stop() or "", folder.path)


def concluded(ready: Prepared, model: Model, folder: RunFolder, progress: Callable[[int], None]) -> Iterator[RunEvent]:
    """From a trained model to answers, report and bundle; done again from the last saved state where it is cut off."""
    give_back()  # of training, whose tensors have other sizes
    yield Phase("judging", "answers, intervals, baselines")
    write_adapter_of(ready, model, folder)
    merge(model)
    with _lent(model, choose_device(ready.config.train.device)):
        collection = _collection(ready, model, progress=progress)
        answers = partial(_answers, ready, model, collection=collection, progress=progress)
        dev = list(answers(ready.task, "dev"))
        task = ready.task.tuned(dev) if dev and isinstance(ready.task, LabellingTask) else ready.task
        again = task != ready.task  # thresholds changed what is answered
        rows = answers(task, "dev") if again else dev
        wrote = write_predictions(folder.predictions("dev"), rows) if ready.data.dev else "no"
        yield Noted(f"{wrote} answers on dev")
        rows = answers(task, "test")
        yield Noted(f"{write_predictions(folder.predictions('test'), rows)} answers on test")
        if isinstance(task, LabellingTask):
            remarks = task.remarks(model, ready.data.dev, tokenizer=ready.tokenizer)
            yield from map(Noted, remarks)
            ready = replace(ready, notes=(*ready.notes, *remarks))
    report = judged(folder, ready, task)
    give_back()
    yield Phase("bundling", "weights, tokenizer, golden rows, model card")
    bundled(folder, ready, model, task=task, report=report, collection=collection)
    yield Finished(folder.path, report)


@contextmanager
def _lent(model: Model, device: torch.device) -> Iterator[None]:
    """The model on the device it learns on while it answers, and then where it was: bundles are written there."""
    home = next(model.parameters()).device
    model.to(device)
    try:
        yield
    finally:
        model.to(home)


def _collection(ready: Prepared, model: Model, *, progress: Callable[[int], None]) -> Collection | None:
    """The documents as the model reads them now, where questions are answered with any."""
    task = ready.task
    if not ready.documents or not isinstance(task, RankingTask):
        return None
    return collection_of(model, task, ready.documents, tokenizer=ready.tokenizer, progress=progress)


def _answers(
    ready: Prepared,
    model: Model,
    task: Task,
    split: str,
    *,
    collection: Collection | None,
    progress: Callable[[int], None],
) -> Iterator[Prediction]:
    examples, tokenizer = ready.data.splits()[split], ready.tokenizer
    if isinstance(task, RankingTask):
        examples, task = tuple(ready.asked(split)), task.judged()
    source = task.writer(model, tokenizer) if isinstance(task, WritingTask) else collection
    for start in range(0, len(examples), CHUNK):
        part = examples[start : start + CHUNK]
        said = answered(model, task, part, tokenizer=tokenizer, source=source, progress=progress).predictions
        if not isinstance(task, WritingTask):
            yield from said
            continue
        found = likelihoods_of(model, task, task.encode(part, tokenizer), progress=progress)
        for prediction, likelihoods in zip(said, found, strict=True):
            yield replace(prediction, likelihood=(float(likelihoods.double().sum()), len(likelihoods)))
