"""When memory runs out a batch is cut smaller, what is learnt stays the same, and the fact is recorded."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tunesmith.core.errors import MemoryLimitError
from tunesmith.tune.checkpoint import Keeping, newest
from tunesmith.tune.events import Halved, Stepped
from tunesmith.tune.pieces import cut, doubled

WORDS = (
    "[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
)


def cramped(model: Any, most: int) -> Any:
    """A model on a machine whose memory holds so many windows at once."""

    def refuse(_: Any, arguments: tuple[Any, ...]) -> None:
        if model.training and len(arguments[0].lengths) > most:
            raise RuntimeError(WORDS)

    model.backbone.register_forward_pre_hook(refuse)
    return model


def of(kind: type, events: list[Any]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def test_a_batch_is_dealt_so_that_long_windows_do_not_meet() -> None:
    assert cut([(9, 8, 7, 6, 5)], 2) == [(9, 7, 5), (8, 6)]
    assert cut([(1, 2), (3,)], 4) == [(1,), (2,), (3,)]
    assert cut([(5, 4, 3, 2, 1, 0)], 2, owners=[0, 0, 1, 1, 2, 2]) == [(5, 4, 1, 0), (3, 2)]
    assert cut([(5, 4)], 4, owners=[0, 0, 1, 1, 2, 2]) == [(5, 4)]
    with pytest.raises(MemoryLimitError):
        doubled([(5, 4, 1, 0)], 2, owners=[0, 0, 1, 1, 2, 2])


@pytest.mark.parametrize("accumulate", [1, 3])
def test_what_is_learnt_stays_the_same(bench: Any, accumulate: int) -> None:
    roomy, tight = bench.model(dropout=0.0), cramped(bench.model(dropout=0.0), 3)
    settings = {"batch_size": 9, "accumulate": accumulate}
    expected, events = bench.trained(roomy, **settings), bench.trained(tight, **settings)
    halved = of(Halved, events)
    assert [(event.step, event.pieces, event.windows) for event in halved] == [(0, 2, 5), (0, 4, 3)]
    losses = [event.loss for event in of(Stepped, events)]
    assert losses == pytest.approx([event.loss for event in of(Stepped, expected)], rel=1e-4)
    for one, other in zip(roomy.parameters(), tight.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=2e-5, rtol=1e-4)


def test_a_resumed_run_cuts_as_the_stopped_one_did(bench: Any, checkpoints: Path, equal_weights: Any) -> None:
    whole, half = cramped(bench.model(), 3), cramped(bench.model(), 3)
    bench.trained(whole)
    events = bench.events(half, keeping=Keeping(folder=checkpoints))
    while not (isinstance(event := next(events), Stepped) and event.step == 7):
        pass
    events.close()
    again = bench.model()
    events = list(bench.events(again, keeping=Keeping(folder=checkpoints, resume=newest(checkpoints))))
    assert equal_weights(whole, again) and not of(Halved, events)


@pytest.mark.parametrize(("precision", "computes"), [("fp32", False), ("bf16", True)])
def test_a_run_in_fp32_goes_without_onednn_once_memory_ran_out(bench: Any, precision: str, computes: bool) -> None:
    events = bench.events(cramped(bench.model(), 3), precision=precision)
    while not isinstance(event := next(events), Halved):
        assert torch.backends.mkldnn.enabled
    assert event.onednn == torch.backends.mkldnn.enabled == computes
    events.close()
    assert torch.backends.mkldnn.enabled


def test_a_window_too_large_alone_is_an_error_and_changes_nothing(bench: Any) -> None:
    model = bench.model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(MemoryLimitError, match="single window"):
        bench.trained(cramped(model, 0))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_another_error_is_not_taken_for_it(bench: Any) -> None:
    model = bench.model()
    model.backbone.register_forward_pre_hook(lambda *_: (_ for _ in ()).throw(RuntimeError("shapes do not match")))
    with pytest.raises(RuntimeError, match="shapes do not match"):
        bench.trained(model)


LIMITED = """
import resource
import numpy as np, torch
from pathlib import Path
from tunesmith.core.batch import Encoding
from tunesmith.core.model import Model
from tunesmith.core.rooms import METHODS, TASKS
from tunesmith.models.checkpoint import locate
from tunesmith.models.loading import load_backbone
from tunesmith.models.surgery import apply_method
from tunesmith.tune.data import TrainingData
from tunesmith.tune.fit import Objective, fit
from tunesmith.tune.settings import TrainSettings

torch.set_num_threads(1)
task = TASKS.make({"kind": "text_classification", "labels": ["a", "b"], "multi_label": False}, key="task")
backbone = load_backbone(locate("starter:english"))
model = Model(backbone, task.head(backbone))
apply_method(model, METHODS.make("full", key="method"))
place = np.zeros(1, np.int32)
rows = [
    Encoding(example=i, input_ids=np.full(128, 1000, np.int32), segment_ids=None, places=place, units=place,
             targets=np.array([i % 2], np.int64))
    for i in range(32)
]
settings = TrainSettings(length="1 steps", learning_rate=1e-4, batch_size=32, precision="fp32", threads=1)
events = fit(Objective(model, task), TrainingData(encodings=rows, ids=[str(i) for i in range(32)]), settings=settings)
print(type(next(events)).__name__)
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
everything = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (used + MARGIN, everything[1]))
for event in events:
    print(type(event).__name__, getattr(event, "pieces", ""), flush=True)
"""
UNTIL_ONEDNN_BREAKS = """
try:
    for count in range(2, 64):
        torch.nn.functional.gelu(torch.ones(count, 512))
except RuntimeError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_AS, everything)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the memory of a process is limited through Linux here")
@pytest.mark.parametrize(("margin", "told"), [(600 << 20, "Stepped"), (1 << 20, "MemoryLimitError")])
def test_a_process_with_little_memory_learns_or_says_why_not(margin: int, told: str) -> None:
    """The real allocator, under a real limit: 32 windows of 128 tokens need more than a gigabyte."""
    script = LIMITED.replace("MARGIN", str(margin))
    said = run_alone(script)
    words = said.split()
    assert "Halved" in words and any(told in word for word in words), said


@pytest.mark.skipif(sys.platform != "linux", reason="the memory of a process is limited through Linux here")
def test_a_kernel_that_found_no_memory_once_does_not_end_a_run_that_has_plenty() -> None:
    """oneDNN refuses every kernel from then on, so that no piece is small enough."""
    lines = LIMITED.replace("MARGIN", str(160 << 10)).split("for event in events:")
    said = run_alone(lines[0] + UNTIL_ONEDNN_BREAKS + "for event in events:" + lines[1])
    if "could not create a primitive" not in said:
        pytest.skip("oneDNN compiles nothing here")
    words = said.split()
    assert words.count("Halved") == 1 and "Stepped" in words and "MemoryLimitError" not in said, said


def run_alone(script: str) -> str:
    """What a process says in which addresses, which are limited, are as good as memory.

    Threads may not reserve any, and what is freed is given back at once.
    """
    alone = {"OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, env=os.environ | alone
    )
    return done.stdout + done.stderr
