"""The attention core against the formula, window by window."""

import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from tunesmith.models import attention
from tunesmith.models.attention import attend
from tunesmith.models.dropout import draw_mask
from tunesmith.models.ragged import ANSWERING, LEARNING, Costs, plan

CPU = torch.device("cpu")
LENGTHS = (5, 17, 1, 9, 9, 30, 2)
COSTS = [ANSWERING, LEARNING, Costs(10**9, 1.0)]
"""One window a block, both kinds, and windows that share blocks of one chunk"""


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
@pytest.mark.parametrize("costs", COSTS)
def test_values_and_gradients_equal_the_formula(
    crossover: int, lengths: tuple[int, ...], costs: Costs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "CROSSOVER", crossover)
    monkeypatch.setattr(attention, "CROSSOVER_ANSWERING", crossover)
    torch.manual_seed(0)
    ours = torch.randn(sum(lengths), 24, dtype=torch.float64, requires_grad=True)
    reference = ours.detach().clone().requires_grad_()
    toward = torch.randn(sum(lengths), 8, dtype=torch.float64)
    mixed = attend(ours, plan(lengths, CPU, costs), heads=2, dropout=0.0)
    expected = formula(reference, lengths, 2)
    torch.testing.assert_close(mixed, expected)
    with torch.no_grad():
        torch.testing.assert_close(attend(ours, plan(lengths, CPU, costs), heads=2, dropout=0.0), expected)
    (mixed * toward).sum().backward()
    (expected * toward).sum().backward()
    torch.testing.assert_close(ours.grad, reference.grad)


@pytest.mark.parametrize("costs", COSTS)
def test_the_backward_with_dropout_is_the_derivative_of_the_forward(costs: Costs) -> None:
    torch.manual_seed(0)
    qkv = torch.randn(7, 12, dtype=torch.float64, requires_grad=True)
    layout = plan((4, 3), CPU, costs)

    def run(x: Tensor) -> Tensor:
        torch.manual_seed(5)  # the same mask at every evaluation
        return attend(x, layout, heads=2, dropout=0.4)

    assert torch.autograd.gradcheck(run, (qkv,))


def redrawn(qkv: Tensor, lengths: tuple[int, ...], heads: int, threshold: int) -> Tensor:
    """The formula with dropout, the masks drawn anew in the order of chunks whose blocks hold one window each."""
    windows = sorted(qkv.split(lengths), key=len, reverse=True)
    done = []
    for chunk in plan(lengths, CPU).chunks:
        keep = draw_mask(torch.empty(chunk.blocks * heads, chunk.longest, chunk.longest), threshold)
        for block in keep.view(chunk.blocks, heads, chunk.longest, chunk.longest):
            window = windows[len(done)]
            query, key, value = (part.view(len(window), heads, -1).transpose(0, 1) for part in window.chunk(3, 1))
            weight = torch.softmax(query @ key.transpose(1, 2) * query.shape[-1] ** -0.5, -1)
            dropped = weight * block[:, : len(window), : len(window)] * (256 / (256 - threshold))
            done.append((dropped @ value).transpose(0, 1).reshape(len(window), -1))
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    return torch.cat([done[order.index(index)] for index in range(len(lengths))])


def test_forward_and_backward_drop_what_the_mask_of_each_chunk_says() -> None:
    assert len(plan(LENGTHS * 4, CPU).chunks) > 1
    lengths = LENGTHS * 4
    torch.manual_seed(0)
    ours = torch.randn(sum(lengths), 24, requires_grad=True)
    reference = ours.detach().clone().requires_grad_()
    toward = torch.randn(sum(lengths), 8)
    torch.manual_seed(5)
    mixed = attend(ours, plan(lengths, CPU), heads=2, dropout=64 / 256)
    torch.manual_seed(5)
    expected = redrawn(reference, lengths, 2, 64)
    torch.testing.assert_close(mixed, expected, atol=1e-5, rtol=1e-5)
    mixed.backward(toward)
    expected.backward(toward)
    torch.testing.assert_close(ours.grad, reference.grad, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("costs", COSTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_no_gradient_comes_from_padding(costs: Costs, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    lengths = LENGTHS * 3
    layout = plan(lengths, CPU, costs)
    assert len(layout.gather) > sum(lengths)
    qkv = torch.randn(sum(lengths), 24).to(dtype).requires_grad_()
    toward = torch.randn(sum(lengths), 8).to(dtype)
    found = []
    for factor in (1.0, 1e6):
        toward[0] *= factor  # the row that padding repeats
        mixed = attend(qkv, layout, heads=2, dropout=0.0)
        found.append(torch.autograd.grad(mixed, qkv, toward)[0][lengths[0] :])
    assert torch.equal(*found)


@pytest.mark.parametrize("costs", COSTS)
def test_passes_over_one_layout_add_their_gradients_and_can_be_recomputed(costs: Costs) -> None:
    qkv, layout = torch.randn(sum(LENGTHS), 24, requires_grad=True), plan(LENGTHS, CPU, costs)

    def passes(*, recomputed: bool) -> list[Tensor]:
        torch.manual_seed(5)
        if recomputed:
            return [checkpoint(attend, qkv, layout, heads=2, dropout=0.4, use_reentrant=False) for _ in range(2)]
        return [attend(qkv, layout, heads=2, dropout=0.4) for _ in range(2)]

    alone = [torch.autograd.grad(mixed.square().sum(), qkv)[0] for mixed in passes(recomputed=False)]
    assert not torch.equal(*alone)
    for recomputed in (False, True):
        one, other = passes(recomputed=recomputed)
        (together,) = torch.autograd.grad(one.square().sum() + other.square().sum(), qkv)
        torch.testing.assert_close(together, sum(alone))


@pytest.mark.parametrize("costs", COSTS)
def test_a_window_does_not_see_its_company(costs: Costs) -> None:
    torch.manual_seed(0)
    qkv = torch.randn(sum(LENGTHS), 24)
    together = attend(qkv, plan(LENGTHS, CPU, costs), heads=2, dropout=0.0).split(LENGTHS)
    for window, expected in zip(qkv.split(LENGTHS), together, strict=True):
        alone = attend(window, plan((len(window),), CPU), heads=2, dropout=0.0)
        torch.testing.assert_close(alone, expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("lowest", [0, 10, 1000])
@pytest.mark.parametrize("costs", COSTS)
@pytest.mark.parametrize("lengths", [LENGTHS * 3, (4, 4, 4), (6,)])
def test_bfloat16_stays_bfloat16_and_close(
    lowest: int, costs: Costs, lengths: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "LOWEST_BF16", lowest)
    torch.manual_seed(0)
    half = torch.randn(sum(lengths), 24).bfloat16().requires_grad_()
    qkv = half.detach().float().requires_grad_()
    toward = torch.randn(sum(lengths), 8).bfloat16()
    full = formula(qkv, lengths, 2)
    low = attend(half, plan(lengths, CPU, costs), heads=2, dropout=0.0)
    full.backward(toward.float())
    low.backward(toward)
    assert low.dtype == torch.bfloat16
    torch.testing.assert_close(low.float(), full, atol=0.02, rtol=0.02)
    assert half.grad is not None and qkv.grad is not None
    torch.testing.assert_close(half.grad.float(), qkv.grad, atol=0.03, rtol=0.03)
