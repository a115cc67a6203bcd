"""Names there and back, and weights that do not fit."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tunesmith.core.errors import ModelFileError
from tunesmith.core.model import Backbone, Model
from tunesmith.models.families import DECODERS, FAMILIES
from tunesmith.models.heads import sequence_head
from tunesmith.models.hub_config import hub_config
from tunesmith.models.hub_names import TABLES, from_hub, hub_name, hub_state, load_hub_state, to_hub
from tunesmith.models.loading import build_backbone

SMALL = {"hidden_size": 8, "num_hidden_layers": 12, "num_attention_heads": 2, "intermediate_size": 8, "vocab_size": 9}
SMALL_DISTILBERT = {"dim": 8, "n_layers": 12, "n_heads": 2, "hidden_dim": 8, "vocab_size": 9}


@pytest.fixture
def model(tiny_backbone: Backbone) -> Model:
    return Model(tiny_backbone, sequence_head(tiny_backbone, 2))


def test_every_family_has_a_table() -> None:
    assert TABLES.keys() == FAMILIES.keys() | DECODERS.keys()


@pytest.mark.parametrize("kind", FAMILIES)
def test_every_name_survives_the_way_there_and_back(kind: str) -> None:
    backbone = build_backbone({"model_type": kind} | (SMALL_DISTILBERT if kind == "distilbert" else SMALL))
    theirs = [to_hub(name, kind) for name in backbone.state_dict()]
    assert len(set(theirs)) == len(theirs)
    assert [from_hub(name, kind) for name in theirs] == list(backbone.state_dict())


def test_a_name_without_a_row_is_an_error_there_and_none_here() -> None:
    with pytest.raises(ModelFileError, match="TS-MODEL-021"):
        to_hub("layers.0.attention.unknown.weight", "bert")
    assert from_hub("encoder.layer.0.crossattention.self.query.weight", "bert") is None


def test_modules_and_heads_are_named_as_the_class_with_a_head_names_them(model: Model) -> None:
    assert hub_name(model, "backbone.layers.1.attention.query") == "bert.encoder.layer.1.attention.self.query"
    assert hub_name(model, "head.pooler.dense.weight") == "bert.pooler.dense.weight"
    assert hub_name(model, "head.classifier.weight") == "classifier.weight"


@pytest.mark.parametrize(
    "change",
    [
        lambda state: {name: tensor for name, tensor in state.items() if name != "classifier.bias"},
        lambda state: state | {"classifier.scale": torch.ones(1)},
        lambda state: state | {"classifier.bias": torch.ones(3)},
        lambda state: state | {"classifier.bias": torch.ones(2).half()},
    ],
    ids=["missing", "unknown", "shape", "dtype"],
)
def test_a_state_that_does_not_fit_is_refused_by_name(
    change: Callable[[dict[str, Tensor]], dict[str, Tensor]], model: Model
) -> None:
    with pytest.raises(ModelFileError, match="TS-MODEL-025") as caught:
        load_hub_state(model, change(hub_state(model)))
    assert caught.value.place is not None and str(caught.value.place.key).startswith("classifier.")


def test_the_written_configuration_holds_known_keys_only(model: Model) -> None:
    model.backbone.config = dict(model.backbone.config) | {"surprise": 1}
    config = hub_config(model, labels=["no", "yes"], problem="multi_label")
    assert "surprise" not in config
    assert config["architectures"] == ["BertForSequenceClassification"]
    assert config["id2label"] == {"0": "no", "1": "yes"}
    assert config["problem_type"] == "multi_label_classification"
    assert hub_config(model, labels=[], problem="regression")["id2label"] == {"0": "LABEL_0"}
