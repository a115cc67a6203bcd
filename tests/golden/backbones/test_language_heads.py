"""What a causal model says of the next token equals transformers, tied head or not, and goes back into its files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch.testing import assert_close

from tunesmith.core.batch import Batch
from tunesmith.core.errors import ConfigError
from tunesmith.core.model import Model
from tunesmith.methods.full import Full
from tunesmith.methods.head_only import HeadOnly
from tunesmith.methods.lora import Lora
from tunesmith.models.checkpoint import locate
from tunesmith.models.hub_config import hub_config
from tunesmith.models.hub_names import hub_state, load_hub_state
from tunesmith.models.language_head import language_head
from tunesmith.models.loading import build_backbone, load_backbone
from tunesmith.models.surgery import apply_method, compact_vocabulary

SIZES: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 24,
    "vocab_size": 100,
    "max_position_embeddings": 64,
}
KINDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "gpt2": ("GPT2Config", "GPT2LMHeadModel", {"n_embd": 16, "n_layer": 2, "n_head": 2, "vocab_size": 100}),
    "llama, tied": ("LlamaConfig", "LlamaForCausalLM", SIZES | {"tie_word_embeddings": True}),
    "llama, not tied": ("LlamaConfig", "LlamaForCausalLM", SIZES),
    "qwen2": ("Qwen2Config", "Qwen2ForCausalLM", SIZES | {"tie_word_embeddings": True}),
    "qwen3": ("Qwen3Config", "Qwen3ForCausalLM", SIZES | {"head_dim": 8, "tie_word_embeddings": True}),
}


def saved(kind: str, folder: Path) -> Any:
    config, name, sizes = KINDS[kind]
    torch.manual_seed(5)
    model = getattr(transformers, name)(getattr(transformers, config)(**sizes, initializer_range=0.3)).eval()
    model.save_pretrained(folder)
    (folder / "tokenizer.json").write_text("{}")
    return model


def loaded(folder: Path) -> Model:
    backbone = load_backbone(locate(str(folder)), dropout=0.0)
    return Model(backbone, language_head(backbone)).eval()


@pytest.mark.parametrize("kind", KINDS)
def test_logits_equal_transformers_and_the_files_go_back(
    kind: str, tmp_path: Path, random_batch: Callable[..., Batch]
) -> None:
    theirs, model, batch = saved(kind, tmp_path / "theirs"), loaded(tmp_path / "theirs"), random_batch((9, 4))
    with torch.inference_mode():
        expected = torch.cat([theirs(input_ids=ids[None]).logits[0, :1] for ids in batch.input_ids.split([9, 4])])
        assert_close(model(batch).logits, expected, atol=1e-5, rtol=1e-5)
    config, state = hub_config(model, labels=(), problem="language"), hub_state(model)
    assert ("lm_head.weight" in state) == (kind == "llama, not tied")
    again = getattr(transformers, KINDS[kind][1])(getattr(transformers, KINDS[kind][0])(**config)).eval()
    missing, unexpected = again.load_state_dict(state, strict=False)
    assert not unexpected and set(missing) <= {"lm_head.weight"}
    again.tie_weights()
    rebuilt = build_backbone(config)
    ours = Model(rebuilt, language_head(rebuilt)).eval()
    load_hub_state(ours, state)
    with torch.inference_mode():
        assert_close(again(input_ids=batch.input_ids[None, :9]).logits[0, :1], expected[:1], atol=1e-5, rtol=1e-5)
        assert torch.equal(ours(batch).logits, model(batch).logits)


@pytest.mark.parametrize("kind", ["llama, tied", "llama, not tied"])
@pytest.mark.parametrize("learns", [False, True])
def test_likelihoods_and_their_gradients_are_those_of_the_logits(
    kind: str, learns: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tunesmith.models.language_head.CHUNK_BYTES", 3 * 4 * 100)  # three rows at a time
    saved(kind, tmp_path)
    head = language_head(load_backbone(locate(str(tmp_path))))
    head.weight.requires_grad_(learns)
    draw = torch.Generator().manual_seed(0)
    hidden = torch.randn(10, 16, generator=draw, requires_grad=True)
    targets, weight = torch.randint(100, (10,), generator=draw), torch.rand(10, generator=draw)
    wanted = [hidden, head.weight] if learns else [hidden]
    found = head.log_likelihoods(hidden, targets)
    plain = torch.log_softmax(head(hidden), -1).gather(1, targets[:, None])[:, 0]
    assert_close(found, plain)
    own = torch.autograd.grad((found * weight).sum(), wanted)
    assert_close(own, torch.autograd.grad((plain * weight).sum(), wanted))


def test_a_head_of_its_own_learns_with_full_tuning_alone(tmp_path: Path) -> None:
    saved("llama, not tied", tmp_path)
    model = loaded(tmp_path)
    apply_method(model, Lora(rank=2))
    assert {n.rpartition(".")[2] for n, p in model.named_parameters() if p.requires_grad} == {"lora_A", "lora_B"}
    model = loaded(tmp_path)
    apply_method(model, Full())
    assert model.head.weight.requires_grad
    with pytest.raises(ConfigError, match="nothing learns with head_only"):
        apply_method(loaded(tmp_path), HeadOnly())


def test_a_table_that_is_the_head_too_is_not_narrowed(tmp_path: Path) -> None:
    saved("llama, tied", tmp_path)
    with pytest.raises(TypeError, match="language head"):
        compact_vocabulary(loaded(tmp_path), range(10))


def test_what_cannot_write_is_refused(tmp_path: Path, tiny_bert_folder: Path) -> None:
    with pytest.raises(ConfigError, match="no causal model"):
        language_head(load_backbone(locate(str(tiny_bert_folder))))
    saved("llama, not tied", tmp_path)
    backbone = load_backbone(locate(str(tmp_path)))
    backbone.carried = {}
    with pytest.raises(ConfigError, match="no language head"):
        language_head(backbone)
