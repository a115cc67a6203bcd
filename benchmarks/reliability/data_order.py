"""Watch which examples a run sees, batch by batch, over three epochs with a stop in between; then change the data."""

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

from reliability.figure import Finding, counted
from reliability.tiny_run import WINDOWS, TinyRun
from tunesmith.core.errors import DataError
from tunesmith.core.model import Model
from tunesmith.tune.events import Started, Stepped

EPOCHS = 3
STEPS = 24
Batches = list[tuple[str, ...]]


class Watched(TinyRun):
    """The tiny run without R-Drop, which looks at every batch twice."""

    terms = ()


def measure(folder: Path, count: int) -> Finding:
    """`count` runs, stopped at a random step each."""
    run, draw, faults = Watched(), random.Random(0), []
    whole = _seen(run, folder / "whole", stop=None)
    epochs = [whole[start : start + len(whole) // EPOCHS] for start in range(0, len(whole), len(whole) // EPOCHS)]
    every = {f"row-{index}" for index in range(WINDOWS)}
    if any(Counter(name for batch in epoch for name in batch) != Counter(every) for epoch in epochs):
        faults.append("an epoch does not see every example once")
    if len({tuple(epoch) for epoch in epochs}) < EPOCHS:
        faults.append("two epochs have one order")
    for trial in range(count):
        place, stop = folder / f"trial-{trial}", draw.randrange(1, STEPS)
        if _seen(run, place, stop=stop) + _seen(run, place, stop=None) != whole:
            faults.append(f"stopped after step {stop}, the run sees other batches")
        elif fault := _changed(run, folder / f"changed-{trial}", stop):
            faults.append(f"data changed after step {stop}: {fault}")
    return counted(count, faults)


def _seen(run: TinyRun, place: Path, *, stop: int | None) -> Batches:
    """The ids of every batch that went through the model to be learnt from."""
    seen: Batches = []
    model = run.model()

    def note(module: Model, given: tuple) -> None:
        if module.training:
            seen.append(tuple(given[0].ids))

    model.register_forward_pre_hook(note)
    steps: list[int] = []

    def wish() -> str | None:
        return "SIGTERM" if stop and steps and steps[-1] == stop else None

    for event in run.events(model, place, should_stop=wish, length=f"{EPOCHS} epochs"):
        steps += [event.step] if isinstance(event, Stepped) else []
    return seen


def _changed(run: TinyRun, place: Path, stop: int) -> str | None:
    """What is wrong when a run goes on with one label changed; None where both fingerprints are named."""
    _seen(run, place, stop=stop)
    first, *rest = run.data.encodings
    other = replace(run.data, encodings=[replace(first, targets=1 - first.targets), *rest])
    try:
        started = next(run.events(run.model(), place, data=other, length=f"{EPOCHS} epochs"))
        return f"it goes on from step {started.step}" if isinstance(started, Started) else "it goes on"
    except DataError as error:
        named = all(data.fingerprint()[:16] in error.message for data in (run.data, other))
        return None if named else f"it says {error}"
