"""Causal backbones under peft: from what we learnt the same logits, in files that go both ways."""

import warnings
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file
from torch.testing import assert_close

from tunesmith.core.errors import ModelFileError
from tunesmith.core.model import Model
from tunesmith.core.rooms import METHODS, TASKS
from tunesmith.methods._peft_files import in_peft_files, read_adapter, write_adapter
from tunesmith.models.checkpoint import locate
from tunesmith.models.loading import load_backbone
from tunesmith.models.surgery import apply_method

pytestmark = pytest.mark.filterwarnings("ignore")
COMMON = {"vocab_size": 100, "initializer_range": 0.3, "pad_token_id": 0}
LLAMA = transformers.LlamaConfig(
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    intermediate_size=24,
    max_position_embeddings=64,
    **COMMON,
)
GPT2 = transformers.GPT2Config(n_embd=16, n_layer=2, n_head=4, n_inner=24, n_positions=64, **COMMON)
"""Its query, key and value are one layer for transformers"""
METHODS_OF_PEFT: dict[str, dict[str, object]] = {
    "lora": {"kind": "lora", "rank": 4, "targets": ["query", "value", "down"]},
    "lora on words": {"kind": "lora", "rank": 4, "targets": ["words", "up"]},
    "lora on one kind of layer": {"kind": "lora", "rank": 4, "targets": ["key"]},
    "decomposed": {"kind": "lora", "rank": 4, "decomposed": True},
    "adalora": {"kind": "adalora", "rank": 4, "target_rank": 2},
    "ia3": {"kind": "ia3"},
    "prefix": {"kind": "prefix", "length": 3},
}


@pytest.fixture(scope="module", params=[LLAMA, GPT2], ids=["llama", "gpt2"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp(request.param.model_type)
    torch.manual_seed(0)
    transformers.AutoModel.from_config(request.param).save_pretrained(made)
    (made / "tokenizer.json").write_text("{}")
    return made


def model_of(folder: Path, *, seed: int = 0) -> Model:
    task = TASKS.make({"kind": "text_classification", "labels": ["a", "b", "c"], "multi_label": False}, key="task")
    torch.manual_seed(seed)
    backbone = load_backbone(locate(str(folder)))
    return Model(backbone, task.head(backbone)).eval()


@pytest.fixture(scope="module")
def peft() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import peft
    return peft


def hub_model(folder: Path) -> Any:
    return transformers.AutoModelForSequenceClassification.from_pretrained(folder, num_labels=3, dtype=torch.float32)


def at_last_tokens(batch: Any) -> Any:
    """Where a causal model for texts reads."""
    batch.places.copy_(batch.offsets[1:] - 1)
    return batch


@pytest.mark.parametrize("kind", METHODS_OF_PEFT)
def test_what_was_learnt_goes_to_peft_and_comes_back(
    kind: str, folder: Path, tmp_path: Path, random_batch: Callable[..., Any], peft: Any
) -> None:
    model = model_of(folder)
    apply_method(model, METHODS.make(METHODS_OF_PEFT[kind], key="method"))
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=draw) * 0.2)
    batch = at_last_tokens(random_batch((7, 12, 3)))
    own = model(batch).logits
    assert in_peft_files(model, "single_label")
    write_adapter(model, tmp_path, base=str(folder), problem="single_label")
    theirs = peft.PeftModel.from_pretrained(hub_model(folder), tmp_path).eval()
    for row, ids in zip(own, batch.input_ids.split(batch.lengths), strict=True):
        assert_close(theirs(input_ids=ids[None]).logits[0], row, rtol=1e-5, atol=1e-5)
    again = model_of(folder, seed=3)
    read_adapter(again, tmp_path)
    assert_close(again(batch).logits, own, rtol=1e-5, atol=1e-5)
    theirs.save_pretrained(tmp_path / "theirs")
    back = model_of(folder, seed=4)
    read_adapter(back, tmp_path / "theirs")
    assert_close(back(batch).logits, own, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("LoraConfig", {"r": 3, "lora_alpha": 7, "init_lora_weights": False}),
        ("LoraConfig", {"r": 3, "target_modules": ["c_attn", "c_fc"], "alpha_pattern": {"attn.c_attn": 5}}),
        ("LoraConfig", {"r": 3, "use_dora": True, "target_modules": ["c_attn", "c_proj"]}),
        ("AdaLoraConfig", {"init_r": 4, "target_r": 2, "total_step": 20}),
        ("IA3Config", {"target_modules": ["c_attn", "mlp.c_proj"], "feedforward_modules": ["mlp.c_proj"]}),
        ("IA3Config", {"target_modules": ["c_attn"], "feedforward_modules": ["c_attn"]}),
    ],
    ids=str,
)
def test_an_update_of_one_layer_that_is_three_here(
    kind: str, options: dict[str, Any], tmp_path: Path, random_batch: Callable[..., Any], peft: Any
) -> None:
    torch.manual_seed(0)
    transformers.GPT2Model(GPT2).save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    theirs = peft.get_peft_model(hub_model(tmp_path), getattr(peft, kind)(task_type="SEQ_CLS", **options)).eval()
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if parameter.requires_grad and "ranknum" not in name:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    theirs.save_pretrained(tmp_path / "adapter")
    model = model_of(tmp_path)
    read_adapter(model, tmp_path / "adapter")
    batch = at_last_tokens(random_batch((7, 12, 3)))
    for row, ids in zip(model(batch).logits, batch.input_ids.split(batch.lengths), strict=True):
        assert_close(theirs(input_ids=ids[None]).logits[0], row, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("same", [True, False])
def test_the_table_that_peft_saves_beside_its_update_must_be_that_of_the_backbone(
    same: bool, folder: Path, tmp_path: Path, peft: Any
) -> None:
    name = "wte" if folder.name.startswith("gpt2") else "embed_tokens"
    options: dict[str, Any] = {"target_modules": [name], "init_lora_weights": False}
    theirs = peft.get_peft_model(hub_model(folder), peft.LoraConfig(task_type="SEQ_CLS", **options))
    if not same:
        with torch.no_grad():
            theirs.get_input_embeddings().base_layer.weight.add_(1.0)
    theirs.save_pretrained(tmp_path, save_embedding_layers=True)
    assert any(key.endswith(".base_layer.weight") for key in load_file(tmp_path / "adapter_model.safetensors"))
    with nullcontext() if same else pytest.raises(ModelFileError, match="another table"):
        read_adapter(model_of(folder), tmp_path)
