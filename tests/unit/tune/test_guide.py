"""What a method wants beside the updates: seen after each of them, kept with the state, and in no reported loss."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from tunesmith.core.method import Guide
from tunesmith.core.rooms import METHODS
from tunesmith.models.depth import layer_of
from tunesmith.tune.events import Started, Stepped

BIAS = "head.classifier.bias"


class Noting(Guide):
    """Pulls a bias, sets it after every second update, and writes down what it was shown."""

    def __init__(self, pulled: float = 0.0) -> None:
        self.pulled = pulled
        self.seen: list[tuple[float, float, float]] = []
        self.updates = torch.zeros(())

    def pull(self, values: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        return {BIAS: torch.full_like(values[BIAS], self.pulled)} if self.pulled else {}

    def after_update(self, values: Mapping[str, Tensor], gradients: Mapping[str, Tensor], *, done: float) -> bool:
        self.updates += 1
        norm = float(torch.stack([gradient.norm() for gradient in gradients.values()]).norm())
        self.seen.append((float(values[BIAS][0]), norm, done))
        if int(self.updates) % 2:
            return False
        values[BIAS].fill_(7.0)
        return True

    def state(self) -> dict[str, Tensor]:
        return {"updates": self.updates}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        self.updates = tensors["updates"].clone()

    def describe(self) -> str:
        return "notes"


def steps(events: list[Any]) -> list[Stepped]:
    return [event for event in events if isinstance(event, Stepped)]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_it_sees_clipped_gradients_and_what_it_changes_stays(bench: Any, precision: str) -> None:
    guide, model = Noting(), bench.model()
    shown: list[float] = []
    for event in bench.events(model, guide=guide, length="4 steps", clip=0.01, precision=precision, scored=False):
        if isinstance(event, Stepped):
            shown.append(float(model.get_parameter(BIAS).detach()[0]))
        if isinstance(event, Started):
            assert event.notes == ("notes",)
    assert [norm for _, norm, _ in guide.seen] == pytest.approx([0.01] * 4, rel=0.02)
    assert [done for *_, done in guide.seen] == [0.0, 0.25, 0.5, 0.75]
    assert shown[1] == shown[3] == 7.0 and shown[0] != 7.0
    assert 6.9 < shown[2] < 7.1 and shown[2] != 7.0


def test_its_pull_is_in_the_gradient_and_not_in_the_loss(bench: Any) -> None:
    plain = steps(list(bench.events(bench.model(), length="1 steps", clip=0.0, scored=False)))
    pulled = steps(list(bench.events(bench.model(), guide=Noting(3.0), length="1 steps", clip=0.0, scored=False)))
    assert pulled[0].loss == plain[0].loss and pulled[0].terms == {}
    assert pulled[0].gradient_norm > plain[0].gradient_norm


def test_layers_wake_one_by_one(bench: Any) -> None:
    method = METHODS.make({"kind": "layer_freeze", "gradual": True}, key="method")
    model = bench.model(method="layer_freeze")
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    moved: dict[int, set[int | None]] = {}
    for event in bench.events(model, guide=method.guide(model), length="3 epochs", scored=False):
        if isinstance(event, Stepped):
            changed = {layer_of(n) for n, p in model.named_parameters() if not torch.equal(p, before[n])}
            moved[int(event.epoch - 1e-9)] = changed
    assert moved == {0: {None}, 1: {None, 1}, 2: {None, 0, 1}}
    trained = method.trained(name for name, _ in model.named_parameters())
    assert {name for name, p in model.named_parameters() if p.requires_grad} == trained
