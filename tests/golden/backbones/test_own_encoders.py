"""Hidden states and gradients of our ragged forward equal transformers' padded one to 1e-5, on random weights."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from torch import Tensor

from tunesmith.core.batch import Batch
from tunesmith.models import attention
from tunesmith.models.checkpoint import locate
from tunesmith.models.encoder import Encoder
from tunesmith.models.hub_names import to_hub
from tunesmith.models.loading import load_backbone

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "vocab_size": 100,
}
KINDS = {
    "bert": (transformers.BertConfig, transformers.BertModel, SIZES),
    "bert-tanh-gelu": (transformers.BertConfig, transformers.BertModel, SIZES | {"hidden_act": "gelu_new"}),
    "roberta": (transformers.RobertaConfig, transformers.RobertaModel, SIZES | {"type_vocab_size": 1}),
    "xlm-roberta": (transformers.XLMRobertaConfig, transformers.XLMRobertaModel, SIZES | {"pad_token_id": 1}),
    "electra": (transformers.ElectraConfig, transformers.ElectraModel, SIZES | {"embedding_size": 8}),
    "electra-wide": (transformers.ElectraConfig, transformers.ElectraModel, SIZES | {"embedding_size": 16}),
    "distilbert": (
        transformers.DistilBertConfig,
        transformers.DistilBertModel,
        {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32, "vocab_size": 100},
    ),
}
LENGTHS = (7, 31, 3, 3, 19, 40, 1, 12, 12)


def saved(kind: str, folder: Path, **more: object) -> transformers.PreTrainedModel:
    """A random transformers model, saved to `folder` with a file that stands for its tokenizer."""
    config, model_class, sizes = KINDS[kind]
    torch.manual_seed(3)
    model = model_class(config(**sizes, initializer_range=0.5, **more)).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # biases and norms too: at their start values they would hide mistakes
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(folder)
    (folder / "tokenizer.json").write_text("{}")
    return model


def theirs(model: transformers.PreTrainedModel, batch: Batch) -> Tensor:
    """Hidden states [N, D] of the padded model at the real tokens."""
    pad = model.config.pad_token_id or 0
    ids = torch.nn.utils.rnn.pad_sequence(batch.input_ids.split(batch.lengths), batch_first=True, padding_value=pad)
    mask = torch.arange(ids.shape[1]) < torch.tensor(batch.lengths)[:, None]
    extra = {}
    if batch.segment_ids is not None:
        extra["token_type_ids"] = torch.nn.utils.rnn.pad_sequence(
            batch.segment_ids.split(batch.lengths), batch_first=True
        )
    hidden: Tensor = model(input_ids=ids, attention_mask=mask.long(), **extra).last_hidden_state[mask]
    return hidden


def assert_same(model: transformers.PreTrainedModel, backbone: Encoder, batch: Batch) -> None:
    torch.manual_seed(0)
    toward = torch.randn(batch.tokens, backbone.width)
    expected, hidden = theirs(model, batch), backbone(batch)
    torch.testing.assert_close(hidden, expected, atol=1e-5, rtol=1e-5)
    ((expected * toward).sum() / batch.tokens).backward()
    ((hidden * toward).sum() / batch.tokens).backward()
    reference = dict(model.named_parameters())
    for name, parameter in backbone.named_parameters():
        wanted = reference[to_hub(name, str(backbone.config["model_type"]))].grad
        torch.testing.assert_close(
            parameter.grad, wanted, atol=1e-5, rtol=1e-4, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("crossover", [0, 20, 10_000])
def test_hidden_states_and_gradients_equal_transformers(
    kind: str, crossover: int, tmp_path: Path, random_batch: Callable[..., Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "CROSSOVER", crossover)
    monkeypatch.setattr(attention, "CROSSOVER_ANSWERING", crossover)
    model = saved(kind, tmp_path)
    backbone = load_backbone(locate(str(tmp_path)))
    assert isinstance(backbone, Encoder)
    segments = "type_vocab_size" in model.config.to_dict() and model.config.type_vocab_size > 1
    assert_same(model, backbone.eval(), random_batch(LENGTHS, segments=segments))


@pytest.mark.parametrize("lengths", [(300, 5, 130), (97, 500, 20, 20)])
def test_long_windows_beside_short_ones_equal_transformers(
    lengths: tuple[int, ...], tmp_path: Path, random_batch: Callable[..., Batch]
) -> None:
    model = saved("bert", tmp_path)
    backbone = load_backbone(locate(str(tmp_path))).eval()
    assert isinstance(backbone, Encoder)
    assert_same(model, backbone, random_batch(lengths, segments=True))


@pytest.mark.parametrize("kind", ["bert", "roberta", "electra"])
def test_a_window_alone_equals_the_window_in_company(
    kind: str, tmp_path: Path, random_batch: Callable[..., Batch]
) -> None:
    saved(kind, tmp_path)
    backbone = load_backbone(locate(str(tmp_path))).eval()
    batch = random_batch(LENGTHS)
    together = backbone(batch).split(batch.lengths)
    for ids, expected in zip(batch.input_ids.split(batch.lengths), together, strict=True):
        alone = random_batch((len(ids),))
        alone.input_ids.copy_(ids)
        torch.testing.assert_close(backbone(alone), expected, atol=1e-5, rtol=1e-5)


def test_positions_that_padding_uses_up_do_not_count_as_length(tmp_path: Path) -> None:
    saved("roberta", tmp_path, max_position_embeddings=66)
    assert load_backbone(locate(str(tmp_path))).max_length == 64
