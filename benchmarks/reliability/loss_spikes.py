"""Spoil one batch or one update of a run that has learnt, and look at what is told and at what is undone.

A batch is spoilt by the wrong label on every example, an update by a thousand times the learning rate. Such an update
does not always do harm, since Adam divides by what gradients once were, and where no loss leaps there is nothing to
tell: each trial spoils the first spot of those drawn at which the losses of a run that learns on show a leap. A run
that goes back is compared with one in whose data order the batch never stood; half of those that go back die as soon as
they have told of the spike, and go on from their last saved state.
"""

import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from reliability.figure import Finding, counted
from reliability.forked import begin, done
from reliability.tiny_run import KINDS, TinyRun, difference, ended
from tunesmith.core.batch import Batch
from tunesmith.run.journal import events
from tunesmith.tune import training as training_module
from tunesmith.tune.data import epoch_groups
from tunesmith.tune.events import Spiked, Stepped
from tunesmith.tune.settings import TrainSettings
from tunesmith.tune.spikes import WINDOW
from tunesmith.tune.training import Training

SAVE_EVERY = 5
"""Updates"""
GROUPS = 2
"""Updates of an epoch"""
LEARNT = range(42, 48)
"""Updates before the one that is spoilt: by then the loss is so low that a bad batch stands out"""
LEAP = 3
"""How many times as high as any of the losses before is one that leaps"""
SETTINGS = {
    "length": "26 epochs", "batch_size": 10, "accumulate": 3, "schedule": "constant", "warmup": 0.0,
    "evaluate_every": "5 steps", "save_every": f"{SAVE_EVERY} steps",
}  # fmt: skip
RATES = {"full": 5e-3, "lora": 2e-2}
Spot = tuple[int, int]
"""Epoch and group of what is spoilt"""


@dataclass(frozen=True)
class LongRun(TinyRun):
    """The tiny run, until it has learnt what there is to learn."""

    on_spike: str = "report"

    def settings(self, **changes: object) -> TrainSettings:
        """Settings of a long run, with changes."""
        return super().settings(**SETTINGS | {"learning_rate": RATES[self.method], "on_spike": self.on_spike} | changes)


def _wrong_labels(spot: Spot) -> None:
    """From now on this process has the wrong label on every example of one group."""
    plain = Training.batches

    def batches(training: Training, group: list[tuple[int, ...]]) -> list[Batch]:
        wrong = _stands_at(training, spot) and group == training.upcoming().batches
        return [replace(batch, targets=1 - batch.targets) if wrong else batch for batch in plain(training, group)]

    Training.batches = batches


def _wild_rate(spot: Spot) -> None:
    """From now on this process makes one update at a thousand times the rate."""
    plain = Training.rate
    Training.rate = lambda training: plain(training) * (1000 if _stands_at(training, spot) else 1)


def _stands_at(training: Training, spot: Spot) -> bool:
    return (training.progress.epoch, training.progress.group) == spot


@dataclass(frozen=True)
class Spoiling:
    """Something that makes the loss spike."""

    name: str
    blame: str
    shows: int
    """The update whose loss shows it: 1 is the one that is spoilt"""
    spoil: Callable[[Spot], None]


SPOILINGS = (
    Spoiling("wrong labels", "batch", 1, _wrong_labels),
    Spoiling("a wild rate", "weights", 2, _wild_rate),
)


def measure(folder: Path, count: int) -> Finding:
    """`count` spoilt runs: two that undo it, a batch and an update, then two that only tell, kind after kind."""
    draw, faults, calm = random.Random(0), [], 0
    for trial in range(count):
        kind, spoiling, place = KINDS[trial // 4 % len(KINDS)], SPOILINGS[trial % 2], folder / f"trial-{trial}"
        spots = draw.sample(LEARNT, len(LEARNT))
        while spots and not _leaps(LongRun(*kind), spoiling, spots[0], folder / "look"):
            spots, calm = spots[1:], calm + 1
        if not spots:
            fault = "the loss leaps nowhere"
        elif trial % 4 < 2:
            fault = _undone_wrong(LongRun(*kind, "roll_back"), spoiling, spots[0], place, dies=trial // 4 % 2 == 1)
        else:
            fault = _told_wrong(LongRun(*kind), spoiling, spots[0], place)
        if fault:
            faults.append(f"{spoiling.name} after {spots[:1]} updates, {kind}: {fault}")
    return counted(count, faults, f", {calm} spots passed over at which no loss leapt" if calm else "")


def _leaps(run: LongRun, spoiling: Spoiling, before: int, place: Path) -> bool:
    """Whether the losses leap, as they stand in the journal of a run that learns on whatever happens."""
    shows = before + spoiling.shows

    def work() -> None:
        spoiling.spoil(divmod(before, GROUPS))
        for event in run.events(run.model(), place):
            if isinstance(event, Stepped) and event.step == shows:
                return

    shutil.rmtree(place, ignore_errors=True)
    done(work, place.with_name("output"))
    losses = [event["loss"] for event in events(place / "journal.jsonl") if event["event"] == "step"]
    return losses[-1] > LEAP * max(losses[-1 - WINDOW : -1])


def _told_wrong(run: LongRun, spoiling: Spoiling, before: int, place: Path) -> str | None:
    """What is wrong with a run that is to tell of a spike and to learn on; None where nothing is."""

    def work() -> None:
        spoiling.spoil(divmod(before, GROUPS))
        told = False
        for event in run.events(run.model(), place):
            told = told or isinstance(event, Spiked)
            if told and isinstance(event, Stepped):
                return

    done(work, place.with_name("output"))
    step = before + spoiling.shows
    if fault := _spike_wrong(run, place, spoiling, before, step=step, outcome="learnt"):
        return fault
    steps = [event["step"] for event in events(place / "journal.jsonl") if event["event"] == "step"]
    return None if steps == list(range(1, step + 1)) else f"the steps in the journal are {steps}"


def _undone_wrong(run: LongRun, spoiling: Spoiling, before: int, place: Path, *, dies: bool) -> str | None:
    """What is wrong with a run that is to undo a spike; None where it ends as if there had been nothing to undo."""
    spot, output = divmod(before, GROUPS), place.with_name("output")

    def die() -> None:
        spoiling.spoil(spot)
        for event in run.events(run.model(), place):
            if isinstance(event, Spiked):
                os._exit(9)

    def finish() -> None:
        spoiling.spoil(spot)
        run.finish(place)

    if dies and (code := begin(die, output).wait()) != 9:
        return f"no spike was told, exit code {code}"
    done(finish, output)
    back = before // SAVE_EVERY * SAVE_EVERY
    step, outcome = (before + 1, "left_out") if spoiling.blame == "batch" else (back, "rolled_back")
    most = 2 if dies and outcome == "rolled_back" else 1  # dead before it could save, a run goes back once more
    if fault := _spike_wrong(run, place, spoiling, before, step=step, outcome=outcome, most=most):
        return fault
    never = place / "never"
    done(lambda: _without(run, spot, never), output)
    if _spikes(never):
        return f"a run without it tells {_spikes(never)}"
    return difference(_bits(place), _bits(never)) or None


def _without(run: LongRun, spot: Spot, place: Path) -> None:
    """The run in whose data order a group never stood."""
    epoch, number = spot

    def shorter(data: Any, settings: TrainSettings, of: int) -> list[list[tuple[int, ...]]]:
        groups = epoch_groups(data, settings, of)
        return groups[:number] + groups[number + 1 :] if of == epoch else groups

    training_module.epoch_groups = shorter
    run.finish(place)


def _spike_wrong(
    run: LongRun, place: Path, spoiling: Spoiling, before: int, *, step: int, outcome: str, most: int = 1
) -> str | None:
    """What is wrong with what the journal tells of the spike."""
    epoch, number = divmod(before, GROUPS)
    group = epoch_groups(run.data, run.settings(), epoch)[number]
    wanted = {
        "step": step,
        "blame": spoiling.blame,
        "outcome": outcome,
        "examples": [run.data.ids[index] for batch in group for index in batch],
    }
    told = [{name: spike[name] for name in wanted} for spike in _spikes(place)]
    return (
        None
        if 0 < len(told) <= most and all(spike == wanted for spike in told)
        else f"the journal tells {told}, not {wanted}"
    )


def _spikes(place: Path) -> list[dict[str, Any]]:
    return [event for event in events(place / "journal.jsonl") if event["event"] == "spiked"]


def _bits(place: Path) -> dict[str, Any]:
    """What came out, without the clock of the epochs: an epoch with a group less goes by faster."""
    found = ended(place)
    rows = [{key: value for key, value in row.items() if key not in ("epoch", "done")} for row in found["journal"]]
    return found | {"journal": rows}
