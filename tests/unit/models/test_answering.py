"""The form that answers computes what the encoder computes, whatever the encoder is made of."""

import numpy as np
import pytest
import torch
from torch import Tensor

from tunesmith.core.batch import Batch, Encoding, collate
from tunesmith.core.model import Backbone, Model
from tunesmith.models import packed
from tunesmith.models.answering import answering
from tunesmith.models.encoder import Encoder
from tunesmith.models.heads import token_head
from tunesmith.models.hosted import HostedBackbone
from tunesmith.models.row_counts import rounded
from tunesmith.models.shape import Activation, Shape

SIZES = {"vocabulary": 90, "width": 32, "embedding_width": 32, "layers": 2, "heads": 2, "inner": 48, "positions": 70}
SHAPES = [
    *(Shape(**SIZES, segments=2, activation=name) for name in ("gelu", "gelu_new", "relu", "silu")),
    Shape(**SIZES | {"embedding_width": 16}, segments=1),
    Shape(**SIZES, position_offset=2),
]


def batch(*, segments: bool) -> Batch:
    draw = np.random.default_rng(0)
    lengths = (40, 17, 9, 9, 1)
    windows = [
        Encoding(
            example=index,
            input_ids=draw.integers(5, 90, length).astype(np.int32),
            segment_ids=(np.arange(length) > length // 2).astype(np.int8) if segments else None,
            places=np.arange(length, dtype=np.int32),
            units=np.arange(length, dtype=np.int32),
            targets=None,
        )
        for index, length in enumerate(lengths)
    ]
    return collate(windows, [""] * len(windows))


def model_of(backbone: Backbone, *, spread: float = 0.3) -> Model:
    """Weights large enough that every term of the encoder shows."""
    model = Model(backbone, token_head(backbone, 5)).eval()
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        parameter.data.add_(torch.randn(parameter.shape, generator=generator), alpha=spread)
    return model


@torch.inference_mode()
def logits(model: Model, given: Batch) -> Tensor:
    found: Tensor = model(given).logits
    return found


@pytest.fixture(params=[True, False], ids=["packed", "plain"])
def packs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the packed products of this machine, and as on one that has none."""
    if not request.param:
        monkeypatch.setattr(packed, "packs", lambda dtype: False)


@pytest.mark.usefixtures("packs")
@pytest.mark.parametrize("segments", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape.activation}-{shape.embedding_width}")
def test_fp32_is_the_encoder_to_five_digits(shape: Shape, segments: bool) -> None:
    model, given = model_of(Encoder(shape, {})), batch(segments=segments)
    if segments and not shape.segments:
        return
    found = answering(model, precision="fp32")
    torch.testing.assert_close(logits(found, given), logits(model, given), atol=2e-5, rtol=1e-5)


@pytest.mark.usefixtures("packs")
@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_bf16_is_close_and_its_logits_are_fp32(activation: Activation) -> None:
    model, given = model_of(Encoder(Shape(**SIZES, segments=2, activation=activation), {})), batch(segments=True)
    found, expected = logits(answering(model, precision="bf16"), given), logits(model, given)
    assert found.dtype == torch.float32 and not torch.equal(found, expected)
    assert (found - expected).abs().mean() < 0.02 * expected.std()


def test_few_counts_of_rows_reach_the_matrix_products() -> None:
    counts = [rounded(rows) for rows in range(1, 4097)]
    assert all(rows <= count <= 1.125 * rows for rows, count in enumerate(counts, start=1))
    assert len(set(counts)) < 90 and counts[-1] == 4096


def test_the_model_it_was_made_from_stays_as_it_is(tiny_backbone: Backbone) -> None:
    model = Model(tiny_backbone, token_head(tiny_backbone, 3)).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    answering(model, precision="bf16")
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_hosted_backbone_answers_too(precision: str) -> None:
    small = {"vocab_size": 90, "hidden_size": 32, "embedding_size": 16, "intermediate_size": 48}
    config = {"model_type": "albert", "num_attention_heads": 2, "num_hidden_layers": 2, "max_position_embeddings": 70}
    model, given = model_of(HostedBackbone(config | small), spread=0.05), batch(segments=False)
    expected = logits(model, given)
    found = logits(answering(model, precision="bf16" if precision == "bf16" else "fp32"), given)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=0.1 if precision == "bf16" else 1e-6, rtol=0)
    torch.testing.assert_close(logits(model, given), expected, atol=0, rtol=0)
