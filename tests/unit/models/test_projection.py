"""Layers side by side: the same product and gradients as one by one, and no gradient of a weight that is frozen."""

import pytest
import torch
from torch import nn
from torch.nn.functional import linear
from torch.testing import assert_close

from tunesmith.core.rooms import METHODS
from tunesmith.models.projection import projected

WIDTH, OUT = 12, (8, 4, 6)


def layers(kind: str, *, bias: bool = True) -> list[nn.Module]:
    """Three linear layers; the first and the last with an update that is not zero."""
    torch.manual_seed(0)
    plain = {f"layer{number}": nn.Linear(WIDTH, out, bias=bias) for number, out in enumerate(OUT)}
    for layer in plain.values():
        layer.requires_grad_(False)
    targets = ["layer0", "layer2"]
    more = {"target_rank": 1} if kind == "adalora" else {}
    table = {"kind": kind, "rank": 2, "targets": targets} | more
    made = METHODS.make(table, key="method") if kind != "none" else None
    wrapped = dict(plain) | (dict(made.wrappers(plain)) if made else {})
    for module in wrapped.values():
        for name, parameter in module.named_parameters():
            if "base" not in name and "lora" in name:
                nn.init.normal_(parameter)
                parameter.requires_grad_(True)
    return list(wrapped.values())


def gradients(parts: list[nn.Module], y: torch.Tensor, x: torch.Tensor) -> dict[str, torch.Tensor | None]:
    dy = torch.randn(y.shape, generator=torch.Generator().manual_seed(1), dtype=y.dtype)
    x.grad = None
    for part in parts:
        part.zero_grad()
    y.backward(dy)
    named = {f"{n}.{name}": p.grad for n, part in enumerate(parts) for name, p in part.named_parameters()}
    return named | {"x": x.grad}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", ["lora", "adalora"])
@pytest.mark.parametrize("shape", [(5, WIDTH), (2, 3, WIDTH)])
def test_the_short_way_back_gives_the_gradients_of_the_long_one(kind: str, bias: bool, shape: tuple[int, ...]) -> None:
    parts = [part.double() for part in layers(kind, bias=bias)]
    x = torch.randn(shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64).requires_grad_()
    weight = torch.cat([part.weight for part in parts])
    biases = torch.cat([part.bias for part in parts]) if bias else None
    long = linear(x, weight, biases)
    expected = gradients(parts, long, x)
    short = projected(x, parts)
    assert torch.equal(short, long)
    found = gradients(parts, short, x)
    assert found.keys() == expected.keys() and sum(value is not None for value in found.values()) >= 5
    for name, value in expected.items():
        if value is None:
            assert found[name] is None, name
        else:
            assert_close(found[name], value, rtol=1e-9, atol=1e-9)


def test_a_frozen_input_asks_for_no_gradient() -> None:
    parts = layers("lora")
    projected(torch.randn(5, WIDTH), parts).sum().backward()
    assert all(p.grad is not None for p in parts[0].parameters() if p.requires_grad)


def test_a_plain_layer_that_learns_beside_an_update_still_learns() -> None:
    parts = layers("lora")
    parts[1].requires_grad_(True)
    x = torch.randn(5, WIDTH)
    projected(x, parts).sum().backward()
    for parameter in parts[1].parameters():
        assert parameter.grad is not None and float(parameter.grad.abs().sum()) > 0


def test_under_autocast_a_product_has_the_type_of_autocast() -> None:
    parts = layers("lora")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = projected(torch.randn(5, WIDTH), parts)
    assert y.dtype == torch.bfloat16
    y.float().sum().backward()
    assert all(p.grad is not None for p in parts[0].parameters() if p.requires_grad)


def test_layers_without_an_update_are_one_product() -> None:
    parts = layers("none")
    x = torch.randn(5, WIDTH)
    assert_close(projected(x, parts), torch.cat([part(x) for part in parts], 1))
