"""Causal backbones under peft: from what we learnt the same logits, in files that go both ways."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch.testing import assert_close

from tunesmith.core.model import Model
from tunesmith.core.rooms import METHODS, TASKS
from tunesmith.methods._peft_files import in_peft_files, read_adapter, write_adapter
from tunesmith.models.checkpoint import locate
from tunesmith.models.loading import load_backbone
from tunesmith.models.surgery import apply_method

pytestmark = pytest.mark.filterwarnings("ignore")
SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 24,
    "vocab_size": 100,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,
}
METHODS_OF_PEFT: dict[str, dict[str, object]] = {
    "lora": {"kind": "lora", "rank": 4, "targets": ["query", "value", "down"]},
    "decomposed": {"kind": "lora", "rank": 4, "decomposed": True},
    "adalora": {"kind": "adalora", "rank": 4, "target_rank": 2},
    "ia3": {"kind": "ia3"},
    "prefix": {"kind": "prefix", "length": 3},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("llama")
    torch.manual_seed(0)
    transformers.LlamaModel(transformers.LlamaConfig(**SIZES, pad_token_id=0)).save_pretrained(made)
    (made / "tokenizer.json").write_text("{}")
    return made


def model_of(folder: Path, *, seed: int = 0) -> Model:
    task = TASKS.make({"kind": "text_classification", "labels": ["a", "b", "c"], "multi_label": False}, key="task")
    torch.manual_seed(seed)
    backbone = load_backbone(locate(str(folder)))
    return Model(backbone, task.head(backbone)).eval()


@pytest.mark.parametrize("kind", METHODS_OF_PEFT)
def test_what_was_learnt_goes_to_peft_and_comes_back(
    kind: str, folder: Path, tmp_path: Path, random_batch: Callable[..., Any]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import peft
    model = model_of(folder)
    apply_method(model, METHODS.make(METHODS_OF_PEFT[kind], key="method"))
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=draw) * 0.2)
    batch = random_batch((7, 12, 3))
    batch.places.copy_(batch.offsets[1:] - 1)
    own = model(batch).logits
    assert in_peft_files(model, "single_label")
    write_adapter(model, tmp_path, base=str(folder), problem="single_label")
    base = transformers.LlamaForSequenceClassification.from_pretrained(folder, num_labels=3, dtype=torch.float32)
    theirs = peft.PeftModel.from_pretrained(base, tmp_path).eval()
    for row, ids in zip(own, batch.input_ids.split(batch.lengths), strict=True):
        assert_close(theirs(input_ids=ids[None]).logits[0], row, rtol=1e-5, atol=1e-5)
    again = model_of(folder, seed=3)
    read_adapter(again, tmp_path)
    assert_close(again(batch).logits, own, rtol=1e-5, atol=1e-5)


def test_layers_that_a_file_holds_as_one_stay_at_home(tmp_path: Path) -> None:
    config = transformers.GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=100, n_positions=64)
    transformers.GPT2Model(config).save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    model = model_of(tmp_path)
    apply_method(model, METHODS.make("lora", key="method"))
    assert not in_peft_files(model, "single_label")
