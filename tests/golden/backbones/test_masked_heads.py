"""What a masked language model puts into a blank equals transformers, and goes back into its files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from tunesmith.core.batch import Batch
from tunesmith.core.errors import ConfigError, ModelFileError
from tunesmith.core.model import Model
from tunesmith.methods.bitfit import BitFit
from tunesmith.methods.full import Full
from tunesmith.methods.lora import Lora
from tunesmith.models.checkpoint import locate
from tunesmith.models.encoder import Encoder
from tunesmith.models.hub_config import hub_config
from tunesmith.models.hub_names import hub_state, load_hub_state
from tunesmith.models.loading import build_backbone, load_backbone
from tunesmith.models.masked_head import blank_head
from tunesmith.models.surgery import apply_method, compact_vocabulary

SIZES: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "vocab_size": 100,
    "max_position_embeddings": 64,
}
DISTILBERT: dict[str, Any] = {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32, "vocab_size": 100}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("Bert", SIZES),
    "bert, relu": ("Bert", SIZES | {"hidden_act": "relu"}),
    "roberta": ("Roberta", SIZES | {"type_vocab_size": 1, "hidden_act": "relu"}),
    "xlm-roberta": ("XLMRoberta", SIZES | {"type_vocab_size": 1}),
    "distilbert": ("DistilBert", DISTILBERT),
    "distilbert, relu": ("DistilBert", DISTILBERT | {"activation": "relu"}),
}


def saved(kind: str, folder: Path) -> Any:
    name, sizes = KINDS[kind]
    torch.manual_seed(5)
    config = getattr(transformers, f"{name}Config")(**sizes, initializer_range=0.3)
    model = getattr(transformers, f"{name}ForMaskedLM")(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)  # biases begin at 0, which would hide one that is lost
    model.save_pretrained(folder)
    (folder / "tokenizer.json").write_text("{}")
    return model


def loaded(folder: Path) -> Model:
    backbone = load_backbone(locate(str(folder)), dropout=0.0)
    return Model(backbone, blank_head(backbone)).eval()


@pytest.mark.parametrize("kind", KINDS)
def test_logits_equal_transformers_and_the_files_go_back(
    kind: str, tmp_path: Path, random_batch: Callable[..., Batch]
) -> None:
    theirs, model, batch = saved(kind, tmp_path / "theirs"), loaded(tmp_path / "theirs"), random_batch((9, 4))
    with torch.inference_mode():
        expected = torch.cat([theirs(input_ids=ids[None]).logits[0, :1] for ids in batch.input_ids.split([9, 4])])
        assert_close(model(batch).logits, expected, atol=1e-5, rtol=1e-5)
    config, state = hub_config(model, labels=(), problem="language"), hub_state(model)
    folder = tmp_path / "ours"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    again, report = transformers.AutoModelForMaskedLM.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    rebuilt = build_backbone(config)
    ours = Model(rebuilt, blank_head(rebuilt)).eval()
    load_hub_state(ours, load_file(folder / "model.safetensors"))
    with torch.inference_mode():
        assert_close(again(input_ids=batch.input_ids[None, :9]).logits[0, :1], expected[:1], atol=1e-5, rtol=1e-5)
        assert torch.equal(ours(batch).logits, model(batch).logits)


def test_what_is_asked_of_the_logits_equals_what_they_are(tmp_path: Path) -> None:
    saved("bert", tmp_path)
    head = loaded(tmp_path).head
    draw = torch.Generator().manual_seed(0)
    hidden, targets = torch.randn(7, 16, generator=draw), torch.randint(100, (7,), generator=draw)
    logits = head(hidden)
    assert_close(head.logits_at(hidden, targets), logits[:, targets])
    assert_close(head.log_likelihoods(hidden, targets), logits.log_softmax(-1).gather(1, targets[:, None])[:, 0])


def test_a_pretrained_head_learns_as_the_backbone_does(tmp_path: Path) -> None:
    saved("bert", tmp_path)
    model = loaded(tmp_path)
    apply_method(model, Lora(rank=2))
    assert not any(parameter.requires_grad for parameter in model.head.parameters())
    model = loaded(tmp_path)
    apply_method(model, BitFit())
    assert model.head.bias.requires_grad and not model.head.dense.weight.requires_grad
    model = loaded(tmp_path)
    apply_method(model, Full())
    assert all(parameter.requires_grad for parameter in model.parameters())
    with pytest.raises(TypeError, match="language head"):
        compact_vocabulary(model, range(10))


def test_what_cannot_fill_a_blank_is_refused(tmp_path: Path, tiny_bert_folder: Path) -> None:
    backbone = load_backbone(locate(str(tiny_bert_folder)))
    assert isinstance(backbone, Encoder)
    backbone.carried = {}
    with pytest.raises(ConfigError, match="holds no masked language head") as caught:
        blank_head(backbone)
    assert caught.value.code == "TS-MODEL-042" and "starter:chat" in caught.value.fix
    with pytest.raises(ConfigError, match="electra"):
        blank_head(build_backbone({"model_type": "electra", **SIZES}))
    with pytest.raises(ConfigError, match="not the table of its words"):
        blank_head(build_backbone({"model_type": "bert", "tie_word_embeddings": False, **SIZES}))
    saved("bert", tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors["cls.predictions.transform.LayerNorm.bias"]
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelFileError, match=r"LayerNorm\.bias is missing"):
        blank_head(load_backbone(locate(str(tmp_path))))
