"""A backbone that is asked for some rows says of them, and learns from them, what it says and learns of all."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tunesmith.core.batch import Batch
from tunesmith.core.model import Backbone, Model
from tunesmith.models.answering import answering
from tunesmith.models.encoder import Encoder
from tunesmith.models.hosted import HostedBackbone
from tunesmith.models.shape import Shape

LENGTHS = (23, 9, 9, 40, 1)
SIZES = {"vocab_size": 200, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
PLACES = {
    "first tokens": [0, 23, 32, 41, 81],
    "some": [2, 3, 7, 24, 25, 60, 61, 62, 79],
    "all": list(range(82)),
    "one token that two units share": [4, 4, 50],
    "none": [],
}


def encoder(*, layers: int = 2) -> Encoder:
    torch.manual_seed(3)
    shape = Shape(
        vocabulary=200, width=32, embedding_width=32, layers=layers, heads=2, inner=64, positions=64, segments=2
    )
    return Encoder(shape, {"model_type": "bert"}).eval()


def hosted() -> HostedBackbone:
    torch.manual_seed(3)
    return HostedBackbone({"model_type": "deberta-v2", "intermediate_size": 64, **SIZES}).eval()


def asked(
    backbone: Backbone, batch: Batch, places: Tensor, toward: Tensor, *, only: bool
) -> tuple[Tensor, list[Tensor]]:
    """Hidden states at places and the gradients of all parameters, asked for these rows only or for all."""
    hidden = backbone(batch, places=places) if only else backbone(batch).index_select(0, places)
    (hidden.float() * toward).sum().backward()
    gradients = [parameter.grad for parameter in backbone.parameters() if parameter.grad is not None]
    backbone.zero_grad()
    return hidden.detach(), gradients


@pytest.mark.parametrize("places", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("build", [encoder, hosted, lambda: encoder(layers=1)], ids=["own", "hosted", "one layer"])
def test_values_and_gradients_are_those_of_all_rows(
    build: Callable[[], Backbone], checkpointing: bool, places: list[int], random_batch: Callable[..., Batch]
) -> None:
    backbone, batch, rows = build(), random_batch(LENGTHS), torch.tensor(places, dtype=torch.int64)
    backbone.gradient_checkpointing = checkpointing
    toward = torch.randn(len(places), 32)
    expected, wanted = asked(backbone, batch, rows, toward, only=False)
    found, gradients = asked(backbone, batch, rows, toward, only=True)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert len(gradients) == len(wanted)
    for own, other in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(own, other, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("places", PLACES.values(), ids=PLACES)
def test_bf16_rounds_the_count_of_rows_and_hands_over_those_asked_for(
    places: list[int], random_batch: Callable[..., Batch]
) -> None:
    backbone, batch, rows = encoder().bfloat16(), random_batch(LENGTHS), torch.tensor(places, dtype=torch.int64)
    toward = torch.randn(len(places), 32)
    expected, wanted = asked(backbone, batch, rows, toward, only=False)
    found, gradients = asked(backbone, batch, rows, toward, only=True)
    assert found.shape == (len(places), 32)
    torch.testing.assert_close(found, expected, atol=0.05, rtol=0.05)
    for own, other in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(
            own, other, atol=0.02 * float(other.abs().max()) + 1e-4, rtol=0.05
        )  # keys have no gradient from biases


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("places", PLACES.values(), ids=PLACES)
def test_the_form_that_answers_gives_these_rows_too(
    precision: str, places: list[int], random_batch: Callable[..., Batch]
) -> None:
    model = Model(encoder(), torch.nn.Identity()).eval()
    batch, rows = random_batch(LENGTHS), torch.tensor(places, dtype=torch.int64)
    with torch.inference_mode():
        expected = model.backbone(batch).index_select(0, rows)
        found = answering(model, precision=precision).backbone(batch, places=rows)
    torch.testing.assert_close(found, expected, atol=1e-5 if precision == "fp32" else 0.06, rtol=1e-5)


def test_the_last_layer_goes_on_with_the_rows_that_are_read(random_batch: Callable[..., Batch]) -> None:
    backbone, batch, seen = encoder(), random_batch(LENGTHS), []
    for layer in backbone.layers:
        layer.feed_forward.register_forward_hook(lambda _, given, out: seen.append(len(out)))
    Model(backbone, torch.nn.Identity())(batch)
    assert seen == [batch.tokens, len(batch.places)]
