"""Every method on all families that Tunesmith runs itself, and on backbones that transformers runs: used or refused."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from tunesmith.core.errors import ConfigError
from tunesmith.core.model import Model
from tunesmith.core.rooms import METHODS, TASKS
from tunesmith.models.additions import add, additions_state
from tunesmith.models.answering import answering
from tunesmith.models.checkpoint import locate
from tunesmith.models.hub_names import hub_state, load_hub_state
from tunesmith.models.loading import load_backbone
from tunesmith.models.surgery import apply_method, compact_vocabulary, merge, named_places

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # of transformers, on some versions
SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "vocab_size": 100,
    "initializer_range": 0.3,
}
OWN: dict[str, dict[str, object]] = {
    "Roberta": SIZES | {"type_vocab_size": 1, "max_position_embeddings": 66},
    "Electra": SIZES | {"embedding_size": 8},
    "DistilBert": {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32, "vocab_size": 100},
}
LLAMA = {"num_key_value_heads": 2, "num_attention_heads": 4, "max_position_embeddings": 64}
OWN |= {
    "GPT2": {"n_embd": 16, "n_layer": 2, "n_head": 2, "vocab_size": 100, "n_positions": 64, "initializer_range": 0.3},
    "Llama": SIZES | LLAMA,
    "Qwen2": SIZES | LLAMA,
    "Qwen3": SIZES | LLAMA | {"head_dim": 8},
}
HOSTED: dict[str, dict[str, object]] = {
    "MPNet": SIZES | {"max_position_embeddings": 66},
    "Albert": SIZES | {"embedding_size": 8},
    "DebertaV2": SIZES | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_biased_input": False},
    "OPT": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "ffn_dim": 32, "vocab_size": 100}
    | {"word_embed_proj_dim": 16, "max_position_embeddings": 64},
    "GPTNeoX": SIZES | {"max_position_embeddings": 64},
}
REFUSED = {(method, backbone): "has no place for a" for method in ("prefix", "soft_prompt") for backbone in HOSTED}
REFUSED["layer_freeze", "Albert"] = "no layers are known"  # its layers are one layer
"""What does not fit, and what is said"""
WRAPPED = {
    ("lora", "MPNet"): {"q", "v"},
    ("lora", "Albert"): {"query", "value"},
    ("lora", "DebertaV2"): {"query_proj", "value_proj"},
    ("lora", "OPT"): {"q_proj", "v_proj"},
    ("lora", "GPTNeoX"): {"query_key_value"},
    ("lora", "DistilBert"): {"query", "value"},
    ("ia3", "DebertaV2"): {"key_proj", "value_proj", "dense"},
}
"""What `query`, `key` and `value` are called"""
SMALL = {"adalora": {"rank": 4, "target_rank": 2}, "layer_freeze": {"top": 1}, "soft_prompt": {"length": 3}}
TASK = {"kind": "text_classification", "labels": ["a", "b", "c"], "multi_label": False}


def model_of(kind: str, sizes: dict[str, object], folder: Path, *, seed: int = 3) -> Model:
    transformers = importlib.import_module("transformers")
    torch.manual_seed(seed)
    made = transformers.AutoModel.from_config(getattr(transformers, f"{kind}Config")(**sizes))
    made.save_pretrained(folder / str(seed))
    (folder / str(seed) / "tokenizer.json").write_text("{}")
    backbone = load_backbone(locate(str(folder / str(seed))), dropout=0.0)
    task = TASKS.make(TASK, key="task")
    return Model(backbone, task.head(backbone)).eval()


def method_of(kind: str, backbone: str) -> Any:
    return METHODS.make({"kind": kind, **SMALL.get(kind, {})}, key="method")


def learns(model: Model, batch: Any, named: frozenset[str]) -> None:
    """Some steps move what the method names, and nothing else."""
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.02)
    for _ in range(3):
        logits = model(batch).logits
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 1, 2], device=logits.device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name]) == (name not in named), name


@pytest.mark.parametrize("backbone", OWN | HOSTED)
@pytest.mark.parametrize("kind", METHODS.kinds)
def test_it_learns_or_is_refused(kind: str, backbone: str, tmp_path: Path, random_batch: Callable[..., Any]) -> None:
    model = model_of(backbone, (OWN | HOSTED)[backbone], tmp_path)
    batch = random_batch((7, 12, 3, 9))
    if model.backbone.causal:
        batch.places.copy_(batch.offsets[1:] - 1)
    method = method_of(kind, backbone)
    before = model(batch).logits
    if (kind, backbone) in REFUSED:
        with pytest.raises(ConfigError, match=REFUSED[kind, backbone]) as caught:
            apply_method(model, method)
        assert "lora" in caught.value.fix
        assert torch.equal(model(batch).logits, before), "nothing was changed"
        return
    apply_method(model, method)
    if method.starts_as_identity:
        assert_close(model(batch).logits, before, rtol=1e-6, atol=1e-6)
    learns(model, batch, method.trained(name for name, _ in model.named_parameters()))
    learnt = model(batch).logits
    merge(model)
    assert_close(model(batch).logits, learnt, rtol=1e-5, atol=1e-5)
    fresh = model_of(backbone, (OWN | HOSTED)[backbone], tmp_path, seed=5)
    load_hub_state(fresh, hub_state(model))
    add(fresh, additions_state(model))
    assert_close(fresh(batch).logits, learnt, rtol=1e-5, atol=1e-5)
    with torch.inference_mode():
        assert_close(answering(model, precision="fp32")(batch).logits, learnt, rtol=1e-5, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("kind", "backbone"),
    [(kind, backbone) for kind in METHODS.kinds for backbone in OWN | HOSTED if (kind, backbone) not in REFUSED],
)
def test_it_learns_on_a_gpu_and_comes_home(
    kind: str, backbone: str, tmp_path: Path, random_batch: Callable[..., Any]
) -> None:
    model, batch = model_of(backbone, (OWN | HOSTED)[backbone], tmp_path), random_batch((7, 12, 3, 9))
    if model.backbone.causal:
        batch.places.copy_(batch.offsets[1:] - 1)
    method = method_of(kind, backbone)
    apply_method(model, method)
    model.to("cuda")
    learns(model, batch.to("cuda"), method.trained(name for name, _ in model.named_parameters()))
    learnt = model(batch.to("cuda")).logits.cpu()
    model.cpu()
    assert_close(model(batch).logits, learnt, rtol=1e-3, atol=1e-3)
    merge(model)
    assert_close(model(batch).logits, learnt, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("kind", "backbone"), WRAPPED)
def test_parts_of_attention_are_found_by_the_name_they_have(kind: str, backbone: str, tmp_path: Path) -> None:
    model = model_of(backbone, (OWN | HOSTED)[backbone], tmp_path)
    wrapped = method_of(kind, backbone).wrappers(dict(named_places(model)))
    assert {name.rpartition(".")[2] for name in wrapped} == WRAPPED[kind, backbone]


@pytest.mark.parametrize("backbone", ["DebertaV2", "OPT", "GPT2", "Llama"])
def test_words_have_an_update_by_the_name_they_have(
    backbone: str, tmp_path: Path, random_batch: Callable[..., Any]
) -> None:
    model, batch = model_of(backbone, (OWN | HOSTED)[backbone], tmp_path), random_batch((7, 12, 3, 9))
    if model.backbone.causal:
        batch.places.copy_(batch.offsets[1:] - 1)
    method = METHODS.make({"kind": "lora", "rank": 3, "targets": ["words", "all-linear"]}, key="method")
    apply_method(model, method)
    compact = compact_vocabulary(model, batch.input_ids.tolist())
    learns(model, batch, method.trained(name for name, _ in model.named_parameters()))
    learnt = model(batch).logits
    compact.restore(model)
    merge(model)
    assert_close(model(batch).logits, learnt, rtol=1e-5, atol=1e-5)


def test_what_no_backbone_calls_so_is_refused_with_the_names_there_are(tmp_path: Path) -> None:
    model = model_of("MPNet", HOSTED["MPNet"], tmp_path)
    with pytest.raises(ConfigError, match="'up'") as caught:
        apply_method(model, METHODS.make({"kind": "lora", "targets": ["query", "up"]}, key="method"))
    assert all(name in caught.value.fix for name in ("q", "k", "v"))
