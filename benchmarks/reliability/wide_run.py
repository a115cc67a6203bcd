"""A run whose activations take most of its memory, and the two ways to leave it little.

One is a limit of the kernel on what the process may map, the other a machine that holds so many windows and no more.
"""

import ctypes
import os
import re
import resource
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from reliability.tiny_run import CONFIG, TinyRun, window
from tunesmith.core.batch import Encoding
from tunesmith.core.model import Model
from tunesmith.core.rooms import METHODS
from tunesmith.models.loading import build_backbone
from tunesmith.models.surgery import apply_method
from tunesmith.tune.data import TrainingData
from tunesmith.tune.events import Stepped
from tunesmith.tune.training import Training

UPDATES = 3
WINDOWS, LENGTH = 24, 96
"""Windows of a batch, of which an update has two, and tokens of a window; alike, so that half of them take half"""
WIDER = {
    "hidden_size": 128, "num_hidden_layers": 4, "intermediate_size": 512, "max_position_embeddings": LENGTH,
    "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
}  # fmt: skip
SETTINGS = {"length": f"{UPDATES} steps", "batch_size": WINDOWS, "learning_rate": 1e-3, "schedule": "constant"}
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
