"""What every regularizer promises: weight 0 is absence, sums do not depend on the cut, gradients are derivatives."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from tunesmith.core.regularizer import Regularizer, Step
from tunesmith.core.rooms import REGULARIZERS
from tunesmith.tune.gradient import Objective, backward


@pytest.fixture
def regularizer(regularizer_kind: str) -> Regularizer:
    return REGULARIZERS.make(regularizer_kind, key="regularizers.0")


@pytest.fixture
def bench(case: Any, learnt: Any) -> Any:
    """The tiny model with dropout in it, switched on by `.train()`."""
    return learnt(case, dropout=0.2)


def term(bench: Any, regularizer: Regularizer, rows: Sequence[int]) -> Tensor:
    batch = bench.batch(rows)
    return regularizer.term(Step(bench.model, bench.task, batch, bench.model(batch)))


def gradient(bench: Any, regularizers: Sequence[Regularizer]) -> list[Tensor]:
    bench.model.zero_grad()
    group = [bench.batch(range(5)), bench.batch(range(5, len(bench.encodings)))]
    backward(Objective(bench.model, bench.task, regularizers), group, seed=0, step=0, collect=lambda: None)
    return [p.grad.clone() for p in bench.model.parameters() if p.grad is not None]


def test_weight_zero_equals_absent(bench: Any, regularizer: Regularizer) -> None:
    bench.model.train()
    without = gradient(bench, [])
    assert all(torch.equal(a, b) for a, b in zip(gradient(bench, [_weighing(regularizer, 0.0)]), without, strict=True))
    with_it = gradient(bench, [_weighing(regularizer, 0.9)])
    assert not all(torch.allclose(a, b, rtol=1e-4) for a, b in zip(with_it, without, strict=True))


def test_the_term_of_a_batch_is_the_sum_of_its_parts_without_dropout(bench: Any, regularizer: Regularizer) -> None:
    if bench.task.compares_windows:
        return  # as it declares
    everything = range(len(bench.encodings))
    whole = term(bench, regularizer, everything)
    parts = [term(bench, regularizer, everything[:3]), term(bench, regularizer, everything[3:])]
    assert_close(torch.stack(parts).sum(), whole, rtol=1e-5, atol=1e-4)


def test_the_gradient_is_the_derivative(bench: Any, regularizer: Regularizer) -> None:
    bench.model.double().train()
    draw = torch.Generator().manual_seed(3)
    parameters = [p for p in bench.model.parameters() if p.requires_grad]
    direction = [torch.randn(p.shape, generator=draw, dtype=p.dtype) for p in parameters]

    def value() -> Tensor:
        torch.manual_seed(11)  # the same dropout masks at every point
        return term(bench, regularizer, range(4))

    gradients = torch.autograd.grad(value(), parameters, allow_unused=True)
    slope = sum((g * d).sum() for g, d in zip(gradients, direction, strict=True) if g is not None)
    step = 1e-6
    ends = []
    for sign in (1, -1):
        with torch.no_grad():
            for p, d in zip(parameters, direction, strict=True):
                p.add_(d, alpha=sign * step)
            ends.append(value())
            for p, d in zip(parameters, direction, strict=True):
                p.sub_(d, alpha=sign * step)
    assert abs(slope) > 1e-4
    assert_close(slope, (ends[0] - ends[1]) / (2 * step), rtol=1e-4, atol=1e-5)


def _weighing(regularizer: Regularizer, weight: float) -> Regularizer:
    return REGULARIZERS.make({**regularizer.as_table(), "weight": weight}, key="regularizers.0")
