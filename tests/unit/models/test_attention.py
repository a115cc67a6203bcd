"""The attention core against the formula, window by window."""

import pytest
import torch
from torch import Tensor

from tunesmith.models import attention
from tunesmith.models.attention import attend
from tunesmith.models.ragged import plan

CPU = torch.device("cpu")
LENGTHS = (5, 17, 1, 9, 9, 30, 2)


def formula(qkv: Tensor, lengths: tuple[int, ...], heads: int) -> Tensor:
    """softmax(q k^T / sqrt(d)) v of every window alone."""
    done = []
    for window in qkv.split(lengths):
        query, key, value = (part.view(len(window), heads, -1).transpose(0, 1) for part in window.chunk(3, 1))
        weight = torch.softmax(query @ key.transpose(1, 2) * query.shape[-1] ** -0.5, -1)
        done.append((weight @ value).transpose(0, 1).reshape(len(window), -1))
    return torch.cat(done)


@pytest.mark.parametrize("crossover", [0, 10, 1000])
@pytest.mark.parametrize("lengths", [LENGTHS, (4, 4, 4), (6,)])
def test_values_and_gradients_equal_the_formula(
    crossover: int, lengths: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "CROSSOVER", crossover)
    monkeypatch.setattr(attention, "CROSSOVER_ANSWERING", crossover)
    torch.manual_seed(0)
    ours = torch.randn(sum(lengths), 24, dtype=torch.float64, requires_grad=True)
    reference = ours.detach().clone().requires_grad_()
    toward = torch.randn(sum(lengths), 8, dtype=torch.float64)
    mixed, expected = attend(ours, plan(lengths, CPU), heads=2, dropout=0.0), formula(reference, lengths, 2)
    torch.testing.assert_close(mixed, expected)
    (mixed * toward).sum().backward()
    (expected * toward).sum().backward()
    torch.testing.assert_close(ours.grad, reference.grad)


def test_the_backward_with_dropout_is_the_derivative_of_the_forward() -> None:
    torch.manual_seed(0)
    qkv = torch.randn(7, 12, dtype=torch.float64, requires_grad=True)
    layout = plan((4, 3), CPU)

    def run(x: Tensor) -> Tensor:
        torch.manual_seed(5)  # the same mask at every evaluation
        return attend(x, layout, heads=2, dropout=0.4)

    assert torch.autograd.gradcheck(run, (qkv,))


def test_a_window_does_not_see_its_company() -> None:
    torch.manual_seed(0)
    qkv = torch.randn(sum(LENGTHS), 24)
    together = attend(qkv, plan(LENGTHS, CPU), heads=2, dropout=0.0).split(LENGTHS)
    for window, expected in zip(qkv.split(LENGTHS), together, strict=True):
        alone = attend(window, plan((len(window),), CPU), heads=2, dropout=0.0)
        torch.testing.assert_close(alone, expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("lowest", [0, 1000])
def test_bfloat16_stays_bfloat16_and_close(lowest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "LOWEST_BF16", lowest)
    torch.manual_seed(0)
    qkv = torch.randn(sum(LENGTHS), 24, requires_grad=True)
    half = qkv.detach().bfloat16().requires_grad_()
    full = attend(qkv, plan(LENGTHS, CPU), heads=2, dropout=0.0)
    low = attend(half, plan(LENGTHS, CPU), heads=2, dropout=0.0)
    low.float().sum().backward()
    assert low.dtype == torch.bfloat16
    assert half.grad is not None and bool(half.grad.isfinite().all())
    torch.testing.assert_close(low.float(), full, atol=0.05, rtol=0.05)
