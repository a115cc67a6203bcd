"""RMSNorm by the short way: the numbers and gradients of torch's own."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from tunesmith.models.root_mean_square import RootMeanSquareNorm


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("learns", [True, False])
def test_the_same_as_torch(dtype: torch.dtype, learns: bool) -> None:
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(7, 48, generator=draw) * torch.logspace(-3, 2, 7)[:, None]
    theirs, ours = (kind(48, eps=1e-5).to(dtype).requires_grad_(learns) for kind in (nn.RMSNorm, RootMeanSquareNorm))
    with torch.no_grad():
        for module in (theirs, ours):
            module.weight.copy_(torch.linspace(0.5, 2, 48))
    dy = torch.randn(7, 48, generator=draw).to(dtype)
    found = []
    for module in (theirs, ours):
        rows = x.to(dtype, copy=True).requires_grad_()
        y = module(rows)
        y.backward(dy)
        found.append((y, rows.grad, module.weight.grad))
    close = {"rtol": 1e-5, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 3e-2, "atol": 3e-2}
    for expected, own in zip(*found, strict=True):
        assert (expected is None) == (own is None)
        if expected is not None:
            assert own.dtype == dtype
            scale = expected.abs().max()
            assert_close(own / scale, expected / scale, **close)


def test_the_gradient_is_the_slope() -> None:
    module = RootMeanSquareNorm(6, eps=1e-5).double()
    x = torch.randn(3, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(module, (x,))
