"""Turning in place: the plain formula's numbers and gradients, and what is not turned stays."""

import torch
from torch.testing import assert_close

from tunesmith.models.rotary import turn_at, turned

HEADS, SIZE = 3, 8


def by_formula(qkv: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
    heads = qkv[:, : HEADS * SIZE].unflatten(1, (HEADS, SIZE))
    swapped = torch.cat([heads[..., SIZE // 2 :], heads[..., : SIZE // 2]], -1)
    return torch.cat([(heads * cosine + swapped * sine).flatten(1), qkv[:, HEADS * SIZE :]], 1)


def test_as_the_formula_says_and_back() -> None:
    draw = torch.Generator().manual_seed(0)
    weight = torch.randn(6, (HEADS + 1) * SIZE, generator=draw)
    x = torch.randn(5, 6, generator=draw)
    dy = torch.randn(5, (HEADS + 1) * SIZE, generator=draw)
    turn = turn_at(torch.tensor([0, 1, 2, 7, 30]), torch.logspace(0, -2, SIZE // 2), torch.float32)
    plain, own = x.clone().requires_grad_(), x.clone().requires_grad_()
    expected = by_formula(plain @ weight, *turn)
    expected.backward(dy)
    kept = dy.clone()
    found = turned(own @ weight, turn, heads=HEADS)
    found.backward(dy)
    assert_close(found, expected)
    assert_close(own.grad, plain.grad)
    assert torch.equal(dy, kept), "the gradient it was handed is somebody else's"
    with torch.inference_mode():
        assert_close(turned(x @ weight, turn, heads=HEADS), expected)
