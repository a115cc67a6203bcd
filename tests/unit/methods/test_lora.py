"""LoRA: the update is W + alpha/r B A, on the layers that are named, refused where it has no meaning."""

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from tunesmith.core.errors import ConfigError
from tunesmith.core.model import Model
from tunesmith.core.rooms import METHODS, TASKS
from tunesmith.methods._low_rank import LowRank
from tunesmith.methods.lora import Lora
from tunesmith.models.surgery import apply_method


@pytest.fixture
def model(tiny_model: Callable[..., Model]) -> Model:
    return tiny_model(TASKS.make({"kind": "text_classification", "labels": ["a", "b"]}, key="task"))


def test_the_update_is_scaled_by_alpha_over_rank() -> None:
    base = nn.Linear(6, 5)
    layer = LowRank(base, 2, scale=1.5)
    assert torch.equal(layer.weight, base.weight)
    nn.init.normal_(layer.lora_B)
    x = torch.randn(3, 6)
    by_hand = base(x) + 1.5 * (x @ layer.lora_A.T @ layer.lora_B.T)
    assert_close(layer(x), by_hand)
    merged = layer.merged()
    assert isinstance(merged, nn.Linear)
    assert_close(merged(x), by_hand)
    assert not torch.equal(merged.weight, base.weight)


def test_a_layer_without_bias_stays_without() -> None:
    layer = LowRank(nn.Linear(4, 4, bias=False), 1, scale=1.0)
    assert layer.bias is None
    assert layer(torch.ones(1, 4)).shape == (1, 4)


@pytest.mark.parametrize(
    "targets, layers", [(["query"], 2), (["attention.output", "up"], 4), (["layers.1.attention.key"], 1)]
)
def test_targets_name_the_end_of_a_layers_name(model: Model, targets: list[str], layers: int) -> None:
    apply_method(model, Lora(targets=targets))
    assert sum(isinstance(module, LowRank) for module in model.modules()) == layers


def test_a_target_that_matches_nothing_is_refused_with_what_there_is(model: Model) -> None:
    with pytest.raises(ConfigError, match="did you mean 'query'") as caught:
        apply_method(model, Lora(targets=["value", "qeury"]))
    assert caught.value.place is not None
    assert caught.value.place.key == "method.targets"
    assert all(name in caught.value.fix for name in ("key", "value", "up", "down", "output"))
    assert not any(isinstance(module, LowRank) for module in model.modules()), "nothing was changed"


def test_a_part_of_a_name_is_no_target(model: Model) -> None:
    with pytest.raises(ConfigError):
        apply_method(model, Lora(targets=["uery"]))


def test_a_rank_above_the_width_is_refused(model: Model) -> None:
    apply_method(model, Lora(rank=16))
    with pytest.raises(ConfigError, match="rank 17 is above the width 16") as caught:
        Lora(rank=17).wrappers({"backbone.x.query": nn.Linear(16, 32), "backbone.x.value": nn.Linear(64, 64)})
    assert str(caught.value.place) == "method.rank"


@pytest.mark.parametrize("field, value", [("rank", 0), ("alpha", 0.0), ("targets", []), ("dropout", 0.1)])
def test_fields_without_meaning_are_refused(field: str, value: object) -> None:
    with pytest.raises(ConfigError) as caught:
        METHODS.make({"kind": "lora", field: value}, key="method")
    assert caught.value.place is not None
    assert str(caught.value.place.key).startswith(f"method.{field}")


def test_gradients_reach_the_factors_alone(model: Model, random_batch: Callable[..., object]) -> None:
    apply_method(model, Lora())
    model(random_batch((5, 3))).logits.sum().backward()
    layer = model.get_submodule("backbone.layers.0.attention.query")
    assert isinstance(layer, LowRank)
    assert layer.lora_B.grad is not None and layer.lora_B.grad.abs().sum() > 0
    assert layer.base.weight.grad is None
