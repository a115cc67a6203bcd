"""A hosted encoder gives ragged tensors that equal the padded model of transformers, gradients included."""

import importlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers

from tunesmith.core.batch import Batch
from tunesmith.core.errors import ConfigError
from tunesmith.models.checkpoint import locate
from tunesmith.models.hosted import HostedBackbone
from tunesmith.models.loading import load_backbone

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "vocab_size": 100,
    "initializer_range": 0.3,
}
KINDS = {
    "MPNet": SIZES | {"max_position_embeddings": 66},
    "Albert": SIZES | {"embedding_size": 8},
    "DebertaV2": SIZES | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_biased_input": False},
    "ModernBert": SIZES
    | {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2},
}
LENGTHS = (7, 3, 19, 12, 1, 12)


def saved(kind: str, folder: Path) -> transformers.PreTrainedModel:
    config = importlib.import_module("transformers").__getattr__(f"{kind}Config")(**KINDS[kind])
    torch.manual_seed(3)
    model: transformers.PreTrainedModel = transformers.AutoModel.from_config(config).eval()
    model.save_pretrained(folder)
    (folder / "tokenizer.json").write_text("{}")
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_hidden_states_and_gradients_equal_transformers(
    kind: str, tmp_path: Path, random_batch: Callable[..., Batch]
) -> None:
    model = saved(kind, tmp_path)
    backbone = load_backbone(locate(str(tmp_path))).eval()
    assert isinstance(backbone, HostedBackbone)
    batch = random_batch(LENGTHS)
    alone = [model(input_ids=ids[None]).last_hidden_state[0] for ids in batch.input_ids.split(batch.lengths)]
    expected, hidden = torch.cat(alone), backbone(batch)
    torch.testing.assert_close(hidden, expected, atol=1e-5, rtol=1e-5)
    toward = torch.randn(expected.shape)
    ((expected * toward).sum() / batch.tokens).backward()
    ((hidden * toward).sum() / batch.tokens).backward()
    reference = dict(model.named_parameters())
    for name, parameter in backbone.encoder.named_parameters():
        torch.testing.assert_close(parameter.grad, reference[name].grad, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_of_a_hosted_encoder_can_learn(
    kind: str, tmp_path: Path, random_batch: Callable[..., Batch]
) -> None:
    saved(kind, tmp_path)
    backbone = load_backbone(locate(str(tmp_path)), dropout=0.0)
    backbone(random_batch(LENGTHS)).square().sum().backward()
    assert [name for name, parameter in backbone.named_parameters() if parameter.grad is None] == []


def test_embeddings_stand_in_for_the_word_table(tmp_path: Path, random_batch: Callable[..., Batch]) -> None:
    saved("MPNet", tmp_path)
    backbone = load_backbone(locate(str(tmp_path))).eval()
    batch = random_batch(LENGTHS)
    torch.testing.assert_close(backbone(batch, embeddings=backbone.embed(batch)), backbone(batch), atol=1e-6, rtol=1e-6)


def test_positions_that_padding_uses_up_do_not_count_as_length(tmp_path: Path) -> None:
    saved("MPNet", tmp_path)
    assert load_backbone(locate(str(tmp_path))).max_length == 64


def test_the_dropout_override_reaches_a_hosted_encoder(tmp_path: Path, random_batch: Callable[..., Batch]) -> None:
    saved("MPNet", tmp_path)
    checkpoint, batch = locate(str(tmp_path)), random_batch(LENGTHS)
    without = load_backbone(checkpoint, dropout=0.0).train()
    assert torch.equal(without(batch), without(batch))
    usual = load_backbone(checkpoint).train()
    assert not torch.equal(usual(batch), usual(batch))


def test_gradient_checkpointing_leaves_hosted_gradients_alone(
    tmp_path: Path, random_batch: Callable[..., Batch]
) -> None:
    saved("DebertaV2", tmp_path)
    batch, gradients = random_batch(LENGTHS), []
    for on in (False, True):
        backbone = load_backbone(locate(str(tmp_path)), dropout=0.0).train()
        backbone.gradient_checkpointing = on
        backbone(batch).square().sum().backward()
        gradients.append([parameter.grad for parameter in backbone.parameters()])
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, recomputed)


def test_checkpointing_an_encoder_that_cannot_is_refused(tmp_path: Path, random_batch: Callable[..., Batch]) -> None:
    saved("MPNet", tmp_path)
    backbone = load_backbone(locate(str(tmp_path)))
    backbone.gradient_checkpointing = True
    with pytest.raises(ConfigError, match="TS-MODEL-026"):
        backbone(random_batch(LENGTHS))


@pytest.mark.parametrize(("kind", "core"), [("MPNet", "eager"), ("ModernBert", "sdpa")])
def test_a_run_can_tell_that_transformers_attends(kind: str, core: str, tmp_path: Path) -> None:
    saved(kind, tmp_path)
    backbone = load_backbone(locate(str(tmp_path)))
    assert backbone.attention_on(torch.device("cuda"), torch.float32) == f"{core} of transformers, padded in chunks"
