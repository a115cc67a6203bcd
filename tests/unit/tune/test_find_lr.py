import itertools
from typing import Any

import pytest
import torch

from tunesmith.tune.find_lr import Range, Tried, find_lr, suggested
from tunesmith.tune.gradient import Objective
from tunesmith.tune.settings import TrainSettings


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_rates_grow_and_the_model_stays_as_it_was(bench: Any, precision: Any) -> None:
    model = bench.model(dropout=0.0)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    settings = TrainSettings(batch_size=8, precision=precision, weight_decay=0.3)
    tried = list(find_lr(Objective(model, bench.task), bench.data, settings=settings, rates=Range(1e-5, 1.0, 60)))
    assert tried[0].rate == pytest.approx(1e-5)
    assert all(a.rate < b.rate for a, b in itertools.pairwise(tried))
    assert all(torch.equal(before[name], p) for name, p in model.named_parameters())
    rate = suggested(tried)
    assert rate is not None and 1e-4 < rate < 0.5


def test_leaving_early_puts_the_weights_back(bench: Any) -> None:
    model = bench.model()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    tried = find_lr(Objective(model, bench.task), bench.data, settings=TrainSettings(batch_size=8, precision="fp32"))
    for _ in range(5):
        next(tried)
    tried.close()
    assert all(torch.equal(before[name], p) for name, p in model.named_parameters())


def test_the_steepest_place_is_suggested() -> None:
    losses = [1.0] * 20 + [0.95, 0.9, 0.8, 0.6, 0.4, 0.3, 0.28, 0.27] + [0.26] * 5 + [0.5, 2.0]
    tried = [Tried(10 ** (index / 10), loss, loss) for index, loss in enumerate(losses)]
    place = [item.rate for item in tried].index(suggested(tried) or 0.0)
    assert 21 <= place <= 24


def test_a_loss_that_never_falls_suggests_nothing() -> None:
    assert suggested([Tried(1.0, 1.0, 1.0)] * 30) is None
    assert suggested([]) is None
