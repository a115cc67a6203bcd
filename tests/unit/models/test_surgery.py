"""Wrapping, folding back, and the narrowed word table."""

from collections.abc import Callable, Iterable, Mapping

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tunesmith.core.batch import Batch
from tunesmith.core.method import Mergeable, Method
from tunesmith.core.model import Backbone, Model
from tunesmith.models.heads import token_head
from tunesmith.models.hub_names import hub_state
from tunesmith.models.loading import build_backbone
from tunesmith.models.surgery import apply_method, compact_vocabulary, merge, named_places


class Shifted(Mergeable):
    """A linear layer whose weight is moved by a learnt offset: what a method's wrapper must offer, no more."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.linear = linear
        self.offset = nn.Parameter(linear.weight.detach().roll(1, 0).clone() * 9)

    @property
    def weight(self) -> Tensor:
        return self.linear.weight + self.offset

    @property
    def bias(self) -> Tensor:
        return self.linear.bias

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)

    def merged(self) -> nn.Module:
        plain = nn.Linear(self.linear.in_features, self.linear.out_features)
        plain.load_state_dict({"weight": self.weight.detach(), "bias": self.bias.detach()})
        return plain


class Shift(Method):
    """Shifts queries."""

    @property
    def learning_rate(self) -> float:
        return 1e-3

    def wrappers(self, places: Mapping[str, nn.Module]) -> Mapping[str, nn.Module]:
        return {
            name: Shifted(module)
            for name, module in places.items()
            if isinstance(module, nn.Linear) and name.endswith(".query")
        }

    def trained(self, names: Iterable[str]) -> frozenset[str]:
        return frozenset(name for name in names if name.endswith(".offset") or name.startswith("head."))


@pytest.fixture
def model(tiny_backbone: Backbone) -> Model:
    return Model(tiny_backbone, token_head(tiny_backbone, 3)).eval()


def test_places_are_named_as_parameters_are(model: Model) -> None:
    names = dict(named_places(model))
    assert "backbone.layers.1.attention.query" in names
    assert all(
        name.rpartition(".")[0] in {*names, "backbone"} for name, _ in model.backbone.named_parameters("backbone")
    )


def test_a_method_wraps_what_it_names_and_only_its_parameters_learn(model: Model) -> None:
    apply_method(model, Shift())
    learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert learning == {
        "backbone.layers.0.attention.query.offset",
        "backbone.layers.1.attention.query.offset",
        "head.classifier.weight",
        "head.classifier.bias",
    }


def test_wrapped_weights_take_part_in_the_forward_pass_and_merge_to_the_same(
    model: Model, random_batch: Callable[..., Batch]
) -> None:
    batch = random_batch((5, 9))
    plain = model(batch).logits
    apply_method(model, Shift())
    wrapped, state = model(batch), hub_state(model)
    assert not torch.allclose(wrapped.logits, plain)
    wrapped.logits.sum().backward()
    gradient = model.get_parameter("backbone.layers.0.attention.query.offset").grad
    assert gradient is not None and bool(gradient.any())
    merge(model)
    assert not any(isinstance(module, Mergeable) for module in model.modules())
    torch.testing.assert_close(model(batch).logits, wrapped.logits)
    assert {name: tensor.shape for name, tensor in hub_state(model).items()} == {k: v.shape for k, v in state.items()}
    torch.testing.assert_close(hub_state(model), state)


def test_a_narrowed_table_computes_the_same_for_known_and_unknown_ids(
    model: Model, random_batch: Callable[..., Batch]
) -> None:
    batch = random_batch((5, 9, 3))
    expected = model(batch).logits
    compact_vocabulary(model, batch.input_ids[:6].tolist())
    assert torch.equal(model(batch).logits, expected)


@pytest.mark.parametrize("kind", ["bert", "mpnet"])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_training_the_rows_that_occur_is_training_the_whole_table(
    kind: str, decay: float, random_batch: Callable[..., Batch]
) -> None:
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = {"model_type": kind, "vocab_size": 100, "pad_token_id": 1} | sizes
    batches = [random_batch((5, 9, 3), vocabulary=60, seed=seed) for seed in range(4)]
    states = []
    for narrow in (False, True):
        torch.manual_seed(0)
        backbone = build_backbone(config)
        model = Model(backbone, token_head(backbone, 3)).eval()
        table = (
            compact_vocabulary(model, torch.cat([batch.input_ids for batch in batches]).tolist()) if narrow else None
        )
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=decay)
        for batch in batches:
            optimizer.zero_grad()
            model(batch).logits.square().sum().backward()
            optimizer.step()
        if table is not None:
            table.restore(model, (1 - 0.01 * decay) ** len(batches))
        states.append(model.state_dict())
    assert states[0].keys() == states[1].keys()
    for name, tensor in states[0].items():
        torch.testing.assert_close(states[1][name], tensor, msg=lambda text, name=name: f"{name}: {text}")


def test_a_narrowed_table_is_written_whole(model: Model) -> None:
    expected = hub_state(model)
    compact_vocabulary(model, [5, 6])
    torch.testing.assert_close(hub_state(model), expected, atol=0, rtol=0)
