"""The loss of a batch is the sum of the losses of its windows, whatever their company, order and cut."""

import random
from typing import Any

import numpy as np
import pytest
import torch
from torch.testing import assert_close


def test_the_loss_of_a_batch_is_the_sum_over_its_windows(case: Any, learnt: Any) -> None:
    bench = learnt(case)
    if bench.task.compares_windows:
        return  # as it declares
    everything = range(len(bench.encodings))
    with torch.no_grad():
        whole = bench.loss(bench.batch(everything))
        alone = torch.stack(
            [bench.loss(bench.batch([index])) for index in everything if bench.encodings[index].places.size]
        )
    assert whole > 0
    assert_close(alone.sum(), whole, rtol=1e-5, atol=1e-4)


def test_the_loss_does_not_depend_on_the_order(case: Any, learnt: Any) -> None:
    bench = learnt(case)
    order = random.Random(5).sample(range(len(bench.encodings)), len(bench.encodings))
    with torch.no_grad():
        assert_close(bench.loss(bench.batch(order)), bench.loss(bench.batch(sorted(order))), rtol=1e-5, atol=1e-4)


def test_counts_add_up(case: Any, learnt: Any) -> None:
    bench = learnt(case)
    half = len(bench.encodings) // 2
    whole = bench.task.count(bench.batch(range(len(bench.encodings))))
    parts = [bench.batch(range(half)), bench.batch(range(half, len(bench.encodings)))]
    assert whole > 0
    assert_close(sum(bench.task.count(part) for part in parts), whole, rtol=1e-6, atol=1e-6)


def test_windows_of_one_example_weigh_together_what_the_example_weighs(case: Any, learnt: Any) -> None:
    bench = learnt(case)
    if bench.task.kind() in ("token_classification", "extractive_qa", "generation", "retrieval"):
        return  # every unit or token is a place of its own there
    weights: dict[int, float] = {}
    for encoding in bench.encodings:
        own = np.broadcast_to(encoding.weight, len(encoding.places))  # one for all places, or one for each
        weights[encoding.example] = weights.get(encoding.example, 0.0) + float(own.sum())
    assert_close([weights[number] for number in sorted(weights)], [e.weight for e in case.examples()])


def test_the_gradient_does_not_depend_on_how_a_batch_is_cut(case: Any, learnt: Any) -> None:
    bench = learnt(case)
    if bench.task.compares_windows:
        return  # as it declares
    everything = range(len(bench.encodings))
    whole = _gradient(bench, [everything])
    cut = _gradient(bench, [everything[:2], everything[2:7], everything[7:]])
    assert_close(cut, whole, rtol=1e-4, atol=1e-5)


@pytest.mark.gpu
def test_a_gpu_has_the_same_loss_and_the_same_gradient(case: Any, learnt: Any) -> None:
    bench = learnt(case)
    everything = range(len(bench.encodings))
    loss, gradient = bench.loss(bench.batch(everything)).detach(), _gradient(bench, [everything])
    bench.model.to("cuda")
    assert_close(bench.loss(bench.batch(everything).to("cuda")).detach().cpu(), loss, rtol=1e-4, atol=1e-4)
    found = _gradient(bench, [everything], device="cuda")
    assert_close([each.cpu() for each in found], gradient, rtol=1e-3, atol=1e-3)


def _gradient(bench: Any, parts: list[range], *, device: str = "cpu") -> list[torch.Tensor]:
    bench.model.zero_grad()
    for part in parts:
        bench.loss(bench.batch(part).to(device)).backward()
    return [p.grad.clone() for p in bench.model.parameters() if p.grad is not None]
