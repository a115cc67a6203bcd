"""Training on a GPU: which attention runs, that it learns and comes home, and that a stopped run goes on."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tunesmith.core.rooms import REGULARIZERS
from tunesmith.models.inference import logits_of
from tunesmith.tune.checkpoint import Keeping, newest
from tunesmith.tune.events import Started, Stepped

pytestmark = pytest.mark.gpu
KERNELS = [
    ("fp32", "padded in chunks, since no ragged kernel drops weights here", "_scaled_dot_product_efficient_attention"),
    ("bf16", "flash kernel, no padding", "_flash_attention_forward"),
]


def losses(events: list[Any]) -> dict[int, float]:
    return {event.step: event.loss for event in events if isinstance(event, Stepped)}


@pytest.mark.parametrize(("precision", "told", "kernel"), KERNELS)
@pytest.mark.parametrize("method", ["full", "lora"])
def test_it_learns_with_the_kernel_it_tells_and_comes_home(
    bench: Any, seen: Any, precision: str, told: str, kernel: str, method: str
) -> None:
    model = bench.model(method=method)
    with seen:
        events = bench.trained(model, device="cuda", precision=precision, length="8 epochs")
    assert events[0].device.startswith("cuda") and events[0].attention == told
    assert kernel in seen.attention and "_efficient_attention_backward" not in seen.attention
    found = list(losses(events).values())
    assert sum(found[-10:]) < sum(found[:10])
    assert {(p.device.type, str(p.dtype)) for p in model.parameters()} == {("cpu", "torch.float32")}
    assert method != "full" or bench.accuracy(model) > 0.8


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_without_dropout_it_begins_like_a_processor(bench: Any, precision: str) -> None:
    same = {"length": "5 steps", "precision": precision, "scored": False}
    here = losses(bench.trained(bench.model(dropout=0.0), **same))
    there = losses(bench.trained(bench.model(dropout=0.0), device="cuda", **same))
    assert there == pytest.approx(here, rel=0.05 if precision == "bf16" else 1e-2)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_resumed_run_draws_the_same_dropout_and_ends_alike(bench: Any, checkpoints: Path, precision: str) -> None:
    """Alike up to rounding: a GPU adds in an order of its own, so that its results are not promised bit by bit."""
    settings = {"length": "3 epochs", "device": "cuda", "precision": precision}
    settings["regularizers"] = [REGULARIZERS.make("r_drop", key="regularizers.0")]
    straight = bench.model()
    expected = losses(bench.trained(straight, **settings))
    done: list[int] = []
    keeping = Keeping(folder=checkpoints, should_stop=lambda: "SIGTERM" if len(done) >= 12 else None)
    for event in bench.events(bench.model(), keeping=keeping, **settings):
        done += [event.step] if isinstance(event, Stepped) else []
    resumed = bench.model()
    rest = bench.trained(resumed, keeping=Keeping(folder=checkpoints, resume=newest(checkpoints)), **settings)
    assert isinstance(rest[0], Started) and rest[0].step == 12 and not rest[0].notes
    found = losses(rest)
    assert found == pytest.approx({step: expected[step] for step in found}, rel=1e-2, abs=1e-3)
    for (_, one), (_, other) in zip(logits_of(straight, bench.dev), logits_of(resumed, bench.dev), strict=True):
        torch.testing.assert_close(one, other, atol=1e-2, rtol=0.0)


def test_recomputing_layers_learns_alike(bench: Any) -> None:
    same = {"length": "5 steps", "device": "cuda", "precision": "bf16", "scored": False}
    plain = losses(bench.trained(bench.model(), **same))
    again = losses(bench.trained(bench.model(), gradient_checkpointing=True, **same))
    assert again == pytest.approx(plain, rel=1e-2), "the recomputation draws the dropout of the first pass"
