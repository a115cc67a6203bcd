"""Train where memory does not hold a batch, and compare gradients and weights with those of a run that has enough.

Of three runs one meets a limit of the kernel on what its process may map; one a machine that holds so many windows
and no more; and for one there is no memory left at all after some steps, and it goes on later. A command line run has
memory for rows and model and little else.

The limit lies between what single windows take, which is measured, with a margin on top, and half of what whole batches
take. The margin is for what a piece that did not fit leaves behind: kernels for its shape, and the gaps they make.
"""

import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

import tunesmith.run.train  # noqa: F401  # libraries that are loaded without memory end a process as they please
from reliability.commands import Command
from reliability.figure import Finding, counted
from reliability.forked import begin, done
from reliability.tiny_checkpoint import write_checkpoint
from reliability.tiny_run import KINDS, STEPS, TinyRun, difference, ended, left_alone
from reliability.wide_run import UPDATES, WINDOWS, Limit, WideRun, hold, leave
from tunesmith.core.errors import MemoryLimitError
from tunesmith.run.journal import events
from tunesmith.tune.checkpoint import newest
from tunesmith.tune.events import Saved
from tunesmith.tune.training import Training

CLOSE = {"fp32": 2e-5, "bf16": 2e-2}
"""How far a gradient may lie from the one of whole batches, as a share of its length"""
AMPLIFIED = 5
"""By how much more the weights' way may differ: Adam divides by the gradient's own size"""
MARGIN = 1.3
"""What a run is left at least, as a multiple of what single windows take"""
UNDER_A_LIMIT = [kind for kind in KINDS if kind[1] == "fp32"]
"""In bf16 oneDNN crashes where it finds no memory for a kernel, which no program can catch"""
LITTLE = 4 << 20
"""Bytes that a command is left when it has read rows and model; the gradient of one window is 21 MB"""
LARGE = {"hidden_size": 256, "num_hidden_layers": 4, "intermediate_size": 2048}
"""The model of the command"""


class Apart:
    """How far gradients lie apart at most, by precision."""

    def __init__(self) -> None:
        self.most = dict.fromkeys(CLOSE, 0.0)

    def note(self, precision: str, distance: float) -> None:
        """One more distance."""
        self.most[precision] = max(self.most[precision], distance)

    def __str__(self) -> str:
        return " and ".join(f"{most:.0e} in {precision}" for precision, most in self.most.items() if most)


def measure(folder: Path, count: int) -> Finding:
    """`count` runs that are short of memory, the last one a command."""
    draw, faults, apart = random.Random(0), [], Apart()
    alone = left_alone(folder, count // 3)
    for trial in range(count - 1):
        place = folder / f"trial-{trial}"
        if trial % 3 == 0:
            run = WideRun(*UNDER_A_LIMIT[trial // 3 % len(UNDER_A_LIMIT)])
            whole, single = (_takes(replace(run, at_once=windows), folder) for windows in (WINDOWS, 1))
            room = int(draw.uniform(MARGIN * single, whole / 2))
            what = f"room for {room / whole:.0%}"
            fault = _cut_wrong(run, folder, place, lambda _, room=room: leave(room), apart)
        elif trial % 3 == 1:
            run, most = WideRun(*KINDS[trial // 3 % len(KINDS)]), draw.randrange(1, WINDOWS)
            what = f"room for {most} windows"
            fault = _cut_wrong(run, folder, place, lambda model, most=most: hold(model, most), apart)
        else:
            run, step = TinyRun(*list(alone)[trial // 3 % len(alone)]), draw.randrange(2, STEPS - 4)
            what = f"no room after step {step}"
            fault = _end_wrong(run, place, step) or difference(ended(place), alone[run.method, run.precision])
        if fault:
            faults.append(f"{what}, {run.method}, {run.precision}: {fault}")
    if fault := _command_wrong(folder / "command"):
        faults.append(f"command: {fault}")
    return counted(count, faults, f", gradients at most {apart} of their length apart")


def _roomy(run: WideRun, folder: Path) -> Path:
    """What the run leaves behind that has all the memory it wants."""
    place = folder / f"roomy-{run.method}-{run.precision}-{run.at_once}"
    if not place.exists():
        done(lambda: run.learn(place, lambda _: None), folder / "output")
    return place


def _takes(run: WideRun, folder: Path) -> int:
    """Bytes that a run maps at most beyond what it has mapped after its first update."""
    return int((_roomy(run, folder) / "takes").read_text())


def _cut_wrong(run: WideRun, folder: Path, place: Path, limit: Limit, apart: Apart) -> str | None:
    """What is wrong with a run that is to cut its batches; None where it learns what a roomy one does, and tells."""
    roomy, close = _roomy(run, folder), CLOSE[run.precision]
    child = begin(lambda: run.learn(place, limit), folder / "output")
    if code := child.wait():
        return f"exit code {code}: {child.said()}"
    if fault := _told_wrong(place):
        return fault
    for step in range(UPDATES):
        name = f"gradient-{step}.safetensors"
        distance = _distance(load_file(place / name), load_file(roomy / name))
        apart.note(run.precision, distance)
        if not distance <= close:
            return f"the gradient of step {step} is {distance:.1e} away"
    before, after, wanted = (load_file(file) for file in _weights(place, roomy))
    learnt = [name for name in wanted if not torch.equal(before[name], wanted[name])]
    distance = _distance({n: after[n] - before[n] for n in learnt}, {n: wanted[n] - before[n] for n in learnt})
    return None if distance <= AMPLIFIED * close else f"the weights are {distance:.1e} of their way away"


def _weights(place: Path, roomy: Path) -> tuple[Path, Path, Path]:
    return roomy / "before.safetensors", place / "after.safetensors", roomy / "after.safetensors"


def _told_wrong(place: Path) -> str | None:
    """What is wrong with the record of the cuts: pieces double from 2 on, and the saved state knows them."""
    journal = list(events(place / "journal.jsonl"))
    halved = [event for event in journal if event["event"] == "halved"]
    pieces = [event["pieces"] for event in halved]
    windows = [event["windows"] for event in halved]
    if not pieces or pieces != [2**number for number in range(1, len(pieces) + 1)]:
        return f"the journal tells of {pieces} pieces"
    if windows != [max(1, -(-WINDOWS // number)) for number in pieces]:
        return f"the journal tells of {windows} windows in {pieces} pieces"
    if sum(event["event"] == "step" for event in journal) != UPDATES:
        return "the journal tells of other steps"
    saved = newest(place / "checkpoints").record["progress"]["pieces"]
    return None if saved == pieces[-1] else f"the state knows of {saved} pieces, the journal of {pieces}"


def _distance(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float:
    """Euclidean distance over all tensors, as a share of the length of the other ones."""
    if one.keys() != other.keys():
        return float("inf")
    apart = sum(float((one[name].double() - other[name].double()).square().sum()) for name in other)
    return float((apart / sum(float(tensor.double().square().sum()) for tensor in other.values())) ** 0.5)


def _end_wrong(run: TinyRun, place: Path, step: int) -> str | None:
    """What is wrong with a run whose memory is gone after a step; where nothing is, it goes on to its end."""

    def work() -> int:
        model = run.model()
        try:
            for event in run.events(model, place):
                if isinstance(event, Saved) and event.step >= step:
                    hold(model, 0)
        except MemoryLimitError as error:
            print(error)
            return error.exit_code
        return 0

    child = begin(work, place.with_name("output"))
    if (code := child.wait()) != 71 or not child.says("does not hold a single window"):
        return f"exit code {code}: {child.said()}"
    done(lambda: run.finish(place), place.with_name("output"))
    return None


def _command_wrong(folder: Path) -> str | None:
    """What is wrong with `tunesmith train` that has next to no memory to learn in."""
    command = Command(folder)
    write_checkpoint(folder / "checkpoint", **LARGE)
    plain = Training.gradient

    def gradient(training: Training) -> Any:
        if training.progress.pieces == 1:
            leave(LITTLE)
        return plain(training)

    def work() -> None:
        Training.gradient = gradient
        command.train(folder / "run")

    child = begin(work, folder / "output")
    if (code := child.wait()) != 71 or "Traceback" in child.said():
        return f"exit code {code}: {child.said()}"
    said = child.says("memory does not hold a single window", "TS-TUNE-012", "fix")
    return None if said else f"it says {child.said()}"
