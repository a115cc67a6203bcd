"""Our AdamW against torch's, and which parameter gets which decay and rate."""

import math

import pytest
import torch
from torch import nn

from tunesmith.tune.optimizers import AdamW, clip_factor, groups_of

NAMES = {
    "backbone.embeddings.words.weight": (20, 8),
    "backbone.layers.0.up.weight": (8, 8),
    "backbone.layers.0.up.bias": (8,),
    "backbone.layers.1.norm.weight": (8,),
    "head.classifier.weight": (3, 8),
}


def parameters(dtype: torch.dtype = torch.float32) -> dict[str, nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return {name: nn.Parameter(torch.randn(*shape, generator=generator).to(dtype)) for name, shape in NAMES.items()}


def ours(own: dict[str, nn.Parameter], layer_decay: float = 1.0) -> AdamW:
    masters = {name: p.detach().float() if p.dtype != torch.float32 else p.detach() for name, p in own.items()}
    return AdamW(own, masters, groups=groups_of(own, decay=0.01, layer_decay=layer_decay))


def give_gradients(own: dict[str, nn.Parameter], step: int, size: float = 1.0) -> None:
    generator = torch.Generator().manual_seed(step)
    for p in own.values():
        p.grad = (torch.randn(p.shape, generator=generator) * size).to(p.dtype)


@pytest.mark.parametrize("size", [0.01, 100.0])
def test_it_equals_torch(size: float) -> None:
    own, peer = parameters(), parameters()
    optimizer = ours(own)
    decayed = [p for p in peer.values() if p.ndim == 2]
    plain = [p for p in peer.values() if p.ndim == 1]
    theirs = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}], lr=0.01
    )
    for step in range(20):
        give_gradients(own, step, size)
        give_gradients(peer, step, size)
        optimizer.collect()
        norm = optimizer.gradient_norm()
        total = torch.nn.utils.clip_grad_norm_(peer.values(), 1.0)
        assert norm == pytest.approx(float(total), rel=1e-5)
        optimizer.step(0.01, shrink=clip_factor(norm, 1.0))
        theirs.step()
    for name, p in own.items():
        torch.testing.assert_close(p, peer[name], rtol=1e-6, atol=1e-6)


def test_gradients_of_several_passes_add_up_in_fp32() -> None:
    own = parameters(torch.bfloat16)
    optimizer = ours(own)
    give_gradients(own, 0)
    expected = {name: p.grad.float() for name, p in own.items() if p.grad is not None}
    optimizer.collect()
    give_gradients(own, 1)
    expected = {name: expected[name] + p.grad.float() for name, p in own.items() if p.grad is not None}
    optimizer.collect()
    total = math.sqrt(sum(float(value.square().sum()) for value in expected.values()))
    assert optimizer.gradient_norm() == pytest.approx(total, rel=1e-5)
    assert all(p.grad is None for p in own.values())


def test_small_updates_survive_in_the_masters_of_bf16_weights() -> None:
    own = parameters(torch.bfloat16)
    optimizer = ours(own)
    name = "backbone.layers.1.norm.weight"
    start = optimizer.masters[name].clone()
    for _ in range(10):
        own[name].grad = torch.ones_like(own[name])
        optimizer.collect()
        optimizer.step(1e-5)
    torch.testing.assert_close(optimizer.masters[name], start - 1e-4, rtol=1e-3, atol=1e-6)
    assert torch.equal(own[name].detach(), optimizer.masters[name].bfloat16())


def test_a_parameter_without_a_gradient_stays() -> None:
    own = parameters()
    before = {name: p.detach().clone() for name, p in own.items()}
    optimizer = ours(own)
    own["head.classifier.weight"].grad = torch.ones(3, 8)
    optimizer.collect()
    optimizer.step(0.1)
    moved = [name for name, p in own.items() if not torch.equal(before[name], p)]
    assert moved == ["head.classifier.weight"]


def test_decay_is_for_matrices_and_rates_fall_with_depth() -> None:
    found = groups_of(parameters(), decay=0.01, layer_decay=0.5)
    facts = {name: (group.decay, group.rate) for group in found for name in group.names}
    assert facts == {
        "backbone.embeddings.words.weight": (0.01, 0.125),
        "backbone.layers.0.up.weight": (0.01, 0.25),
        "backbone.layers.0.up.bias": (0.0, 0.25),
        "backbone.layers.1.norm.weight": (0.0, 0.5),
        "head.classifier.weight": (0.01, 1.0),
    }
    assert {group.rate for group in groups_of(parameters(), decay=0.01, layer_decay=1.0)} == {1.0}


def test_a_gradient_that_is_not_finite_is_named() -> None:
    own = parameters()
    optimizer = ours(own)
    give_gradients(own, 0)
    own["head.classifier.weight"].grad[1, 2] = math.inf  # type: ignore[index]
    optimizer.collect()
    assert not math.isfinite(optimizer.gradient_norm())
    assert optimizer.faulty() == ["head.classifier.weight"]


def test_state_goes_round() -> None:
    own, other = parameters(), parameters()
    first, second = ours(own), ours(other)
    for step in range(3):
        give_gradients(own, step)
        first.collect()
        first.step(0.01)
    second.load({name: value.clone() for name, value in first.state().items()})
    for optimizer, values in ((first, own), (second, other)):
        give_gradients(values, 7)
        optimizer.collect()
        optimizer.step(0.01)
    assert all(torch.equal(own[name], other[name]) for name in own)


def test_nothing_is_clipped_without_a_limit() -> None:
    assert clip_factor(50.0, 0.0) == 1.0
    assert clip_factor(0.5, 1.0) == 1.0
    assert clip_factor(4.0, 1.0) == pytest.approx(0.25, rel=1e-5)
