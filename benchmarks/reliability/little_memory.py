"""Train where memory does not hold a batch, and compare gradients and weights with those of a run that has enough.

Of three runs one meets a limit of the kernel on what its process may map; one a machine that holds so many windows
and no more; and for one there is no memory left at all after some steps, and it goes on later. A command line run has
memory for rows and model and little else.

The limit lies between what single windows take, which is measured, with a margin on top, and half of what whole batches
take. The margin is for what a piece that did not fit leaves behind: kernels for its shape, and the gaps they make.
"""

import ctypes
import os
import random
import re
import resource
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import tunesmith.run.train  # noqa: F401  # libraries that are loaded without memory end a process as they please
from reliability.commands import Command
from reliability.figure import Finding, counted
from reliability.forked import begin, done
from reliability.tiny_checkpoint import write_checkpoint
from reliability.tiny_run import CONFIG, KINDS, STEPS, TinyRun, difference, ended, left_alone, window
from tunesmith.core.batch import Encoding
from tunesmith.core.errors import MemoryLimitError
from tunesmith.core.model import Model
from tunesmith.core.rooms import METHODS
from tunesmith.models.loading import build_backbone
from tunesmith.models.surgery import apply_method
from tunesmith.run.journal import events
from tunesmith.tune.checkpoint import newest
from tunesmith.tune.data import TrainingData
from tunesmith.tune.events import Saved, Stepped
from tunesmith.tune.training import Training

UPDATES = 3
WINDOWS, LENGTH = 24, 96
"""Windows of a batch, of which an update has two, and tokens of a window; alike, so that half of them take half"""
WIDER = {
    "hidden_size": 128, "num_hidden_layers": 4, "intermediate_size": 512, "max_position_embeddings": LENGTH,
    "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
}  # fmt: skip
SETTINGS = {"length": f"{UPDATES} steps", "batch_size": WINDOWS, "learning_rate": 1e-3, "schedule": "constant"}
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
SAID = "[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
Limit = Callable[[Model], object]
"""Takes memory away from the process that calls it"""


@dataclass(frozen=True)
class WideRun(TinyRun):
    """A run whose activations take most of the memory it needs, some 100 MB. Dropout would draw anew in each piece."""

    at_once: int = WINDOWS
    """Windows that its machine holds, even before a limit begins"""

    @property
    def data(self) -> TrainingData:
        """Long windows."""
        windows = [_long(index) for index in range(2 * WINDOWS)]
        return TrainingData(encodings=windows, ids=[f"row-{index}" for index in range(2 * WINDOWS)], seed=1)

    @property
    def terms(self) -> list[Any]:
        """None: R-Drop compares two draws of dropout."""
        return []

    def model(self) -> Model:
        """The model before its first step."""
        torch.manual_seed(5)
        backbone = build_backbone(CONFIG | WIDER)
        model = Model(backbone, self.task.head(backbone))
        apply_method(model, METHODS.make(self.method, key="method"))
        hold(model, self.at_once)
        return model

    def learn(self, place: Path, limit: Limit) -> None:
        """Train to the end, leaving in `place` every gradient, the weights before and after, and what the run takes.

        The limit begins after the first update, when oneDNN has compiled its kernels for whole batches: it does not
        always survive to find no memory for one.
        """
        _give_back_at_once()
        place.mkdir()
        model = self.model()
        save_file(model.state_dict(), place / "before.safetensors")
        _note_gradients(place)
        for event in self.events(model, place, **SETTINGS):
            if isinstance(event, Stepped) and event.step == 1:
                begun = _mapped("VmSize")
                limit(model)
        (place / "takes").write_text(str(_mapped("VmPeak") - begun))
        save_file(model.state_dict(), place / "after.safetensors")


def _long(index: int) -> Encoding:
    ids = np.random.default_rng(index).integers(20, 110, LENGTH).astype(np.int32)
    ids[1] = 10 + index % 2
    return replace(window(index), input_ids=ids)


def _give_back_at_once() -> None:
    """From now on what is freed is no longer mapped, so that a limit on addresses is one on memory."""
    libc, trim, threshold, arenas = ctypes.CDLL(None), -1, -3, -8  # the numbers of malloc.h
    libc.mallopt(threshold, 16 << 10)  # below the tensors of a single window, which are cut out of a heap otherwise
    libc.mallopt(trim, 64 << 10)
    libc.mallopt(arenas, 1)
    os.environ["MALLOC_TRIM_THRESHOLD_"] = str(64 << 10)  # a run keeps what it frees, unless it finds a wish


def _note_gradients(place: Path) -> None:
    """From now on this process writes down every gradient that it is about to learn from."""
    plain = Training.update

    def update(training: Training, *given: Any, **named: Any) -> Any:
        save_file(training.optimizer._sums, place / f"gradient-{training.progress.step}.safetensors")
        return plain(training, *given, **named)

    Training.update = update


def _mapped(name: str) -> int:
    """Bytes of address space of this process, now (VmSize) or at most (VmPeak)."""
    return int(re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) << 10


def leave(room: int) -> None:
    """From now on this process may map so many bytes more."""
    most = _mapped("VmSize") + room
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def hold(model: Model, most: int) -> None:
    """From now on there is memory to train with so many windows at once."""

    def refuse(_: object, given: tuple[Any, ...]) -> None:
        if model.training and len([name for name in given[0].ids if name]) > most:  # rounding adds one without a name
            raise RuntimeError(SAID)

    model.backbone.register_forward_pre_hook(refuse)


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
