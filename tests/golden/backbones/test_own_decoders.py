"""Hidden states and gradients of our ragged causal forward equal those of transformers to 1e-5, on random weights."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.testing import assert_close

from tunesmith.core.batch import Batch
from tunesmith.core.errors import ModelFileError
from tunesmith.core.model import Model
from tunesmith.core.rooms import TASKS
from tunesmith.models.checkpoint import locate
from tunesmith.models.decoder import Decoder
from tunesmith.models.hub_config import hub_config
from tunesmith.models.hub_names import hub_name, hub_state, load_hub_state
from tunesmith.models.loading import build_backbone, load_backbone

LLAMA = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 24,
    "vocab_size": 100,
    "max_position_embeddings": 64,
}
LLAMA3 = {"rope_type": "llama3", "rope_theta": 500.0, "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
PLAIN = {"rope_type": "default", "rope_theta": 99.0}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": ("GPT2", {"n_embd": 16, "n_layer": 2, "n_head": 2, "vocab_size": 100, "n_positions": 64, "n_inner": 24}),
    "llama": ("Llama", LLAMA),
    "llama, all heads": ("Llama", LLAMA | {"num_key_value_heads": 4, "attention_bias": True, "mlp_bias": True}),
    "llama 3": ("Llama", LLAMA | {"rope_parameters": LLAMA3 | {"original_max_position_embeddings": 16}}),
    "llama, wide heads": (
        "Llama",
        LLAMA | {"head_dim": 8, "rope_parameters": {"rope_type": "default", "rope_theta": 99.0}},
    ),
    "mistral": ("Mistral", LLAMA | {"sliding_window": None}),
    "qwen2": ("Qwen2", LLAMA),
    "qwen3": ("Qwen3", LLAMA | {"head_dim": 8}),
}
LENGTHS = (7, 31, 3, 3, 19, 40, 1, 12, 12)


def saved(kind: str, folder: Path) -> Any:
    name, sizes = KINDS[kind]
    torch.manual_seed(3)
    config = getattr(transformers, f"{name}Config")(**sizes, initializer_range=0.3)
    model = getattr(transformers, f"{name}Model")(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # biases and norms too: at their start values they would hide mistakes
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(folder)
    (folder / "tokenizer.json").write_text("{}")
    return model


def theirs(model: Any, batch: Batch) -> Tensor:
    """[N, D] of every window alone."""
    return torch.cat([model(input_ids=ids[None]).last_hidden_state[0] for ids in batch.input_ids.split(batch.lengths)])


@pytest.mark.parametrize("kind", KINDS)
def test_hidden_states_and_gradients_equal_transformers(
    kind: str, tmp_path: Path, random_batch: Callable[..., Batch]
) -> None:
    model = saved(kind, tmp_path)
    backbone = load_backbone(locate(str(tmp_path)), dropout=0.0)
    assert isinstance(backbone, Decoder) and backbone.causal
    batch = random_batch(LENGTHS)
    expected, hidden = theirs(model, batch), backbone(batch)
    assert_close(hidden, expected, atol=1e-5, rtol=1e-5)
    toward = torch.randn(expected.shape, generator=torch.Generator().manual_seed(0))
    ((expected * toward).sum() / batch.tokens).backward()
    ((hidden * toward).sum() / batch.tokens).backward()
    reference = {name: p.grad for name, p in model.named_parameters()}
    family_gradients = Model(backbone, nn.Identity())
    own = {hub_name(family_gradients, f"backbone.{name}"): p.grad for name, p in backbone.named_parameters()}
    prefix = "transformer." if kind == "gpt2" else "model."
    if kind == "gpt2":
        from tunesmith.models.gpt2 import packed

        own = packed(own)
    assert {name.removeprefix(prefix) for name in own} == reference.keys()
    for name, gradient in own.items():
        assert_close(gradient, reference[name.removeprefix(prefix)], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_gradient_and_at_places_the_states_are_the_same(
    kind: str, tmp_path: Path, random_batch: Callable[..., Batch]
) -> None:
    model = saved(kind, tmp_path)
    backbone = load_backbone(locate(str(tmp_path))).eval()
    batch = random_batch(LENGTHS)
    with torch.inference_mode():
        expected = theirs(model, batch)
        assert_close(backbone(batch), expected, atol=1e-5, rtol=1e-5)
        ends = batch.offsets[1:] - 1
        assert_close(backbone(batch, places=ends), expected[ends], atol=1e-5, rtol=1e-5)
        assert_close(backbone(batch, embeddings=backbone.embed(batch)), expected, atol=1e-5, rtol=1e-5)


def test_a_row_sees_nothing_behind_it(tmp_path: Path, random_batch: Callable[..., Batch]) -> None:
    saved("llama", tmp_path)
    backbone = load_backbone(locate(str(tmp_path))).eval()
    one, other = random_batch((9, 5)), random_batch((9, 5))
    other.input_ids[6:9] = (one.input_ids[6:9] + 1) % 100
    with torch.inference_mode():
        before, after = backbone(one), backbone(other)
    assert torch.equal(before[:6], after[:6]) and torch.equal(before[9:], after[9:])
    assert not torch.allclose(before[6:9], after[6:9])


@pytest.mark.parametrize("kind", ["gpt2", "llama", "qwen2", "qwen3"])
@pytest.mark.parametrize("tokens", [False, True])
def test_transformers_opens_what_we_save_with_equal_logits(
    kind: str, tokens: bool, tmp_path: Path, random_batch: Callable[..., Batch]
) -> None:
    saved(kind, tmp_path / "base")
    backbone = load_backbone(locate(str(tmp_path / "base")))
    table = (
        {"kind": "token_classification", "labels": ["X"]}
        if tokens
        else {"kind": "text_classification", "labels": ["a", "b"]}
    )
    task = TASKS.make(table, key="task")
    model = Model(backbone, task.head(backbone)).eval()
    state = hub_state(model)
    (tmp_path / "ours").mkdir()
    save_file(state, tmp_path / "ours" / "model.safetensors", metadata={"format": "pt"})
    config = hub_config(model, labels=task.label_names, problem="token" if tokens else "single_label")
    (tmp_path / "ours" / "config.json").write_text(json.dumps(config))
    auto = transformers.AutoModelForTokenClassification if tokens else transformers.AutoModelForSequenceClassification
    opened = auto.from_pretrained(tmp_path / "ours", dtype=torch.float32).eval()
    batch = random_batch((7, 12, 3))
    batch.places.copy_(batch.offsets[1:] - 1)
    with torch.inference_mode():
        own = model(batch).logits
        for row, ids in zip(own, batch.input_ids.split(batch.lengths), strict=True):
            logits = opened(input_ids=ids[None]).logits
            assert_close(row, logits[0, -1] if tokens else logits[0], atol=1e-5, rtol=1e-5)
    again = build_backbone(config)
    back = Model(again, task.head(again)).eval()
    load_hub_state(back, load_file(tmp_path / "ours" / "model.safetensors"))
    with torch.inference_mode():
        assert_close(back(batch).logits, own, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("kind", ["gpt2", "llama", "mistral", "qwen2", "qwen3"])
def test_models_for_questions_open_in_transformers_where_its_class_has_our_names(
    kind: str, tmp_path: Path, random_batch: Callable[..., Batch]
) -> None:
    saved(kind, tmp_path / "base")
    backbone = load_backbone(locate(str(tmp_path / "base")))
    task = TASKS.make("extractive_qa", key="task")
    model = Model(backbone, task.head(backbone)).eval()
    (tmp_path / "ours").mkdir()
    save_file(hub_state(model), tmp_path / "ours" / "model.safetensors", metadata={"format": "pt"})
    config = hub_config(model, labels=task.label_names, problem="answer")
    (tmp_path / "ours" / "config.json").write_text(json.dumps(config))
    name = getattr(transformers, config["architectures"][0])
    opened, report = name.from_pretrained(tmp_path / "ours", dtype=torch.float32, output_loading_info=True)
    assert not report["missing_keys"]
    batch = random_batch((7, 12, 3))
    with torch.inference_mode():
        own = model(batch)
        for index, ids in enumerate(batch.input_ids.split(batch.lengths)):
            theirs = opened.eval()(input_ids=ids[None])
            if kind in ("gpt2", "mistral"):
                assert name.__name__.endswith("ForQuestionAnswering")
                logits = torch.stack((theirs.start_logits[0, 0], theirs.end_logits[0, 0]))
                assert_close(own.logits[index], logits, atol=1e-5, rtol=1e-5)
            else:
                assert_close(own.hidden[index], theirs.last_hidden_state[0, 0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "kind, key, value",
    [
        ("gpt2", "scale_attn_by_inverse_layer_idx", True),
        ("gpt2", "add_cross_attention", True),
        ("gpt2", "n_head", 0),
        ("llama", "rope_parameters", {"rope_type": "yarn", "rope_theta": 1e4}),
        ("llama", "num_key_value_heads", 3),
        ("llama", "hidden_act", "swiglu"),
        ("qwen2", "use_sliding_window", True),
        ("qwen3", "use_sliding_window", True),
    ],
)
def test_what_we_do_not_compute_is_refused_at_its_key(kind: str, key: str, value: object, tmp_path: Path) -> None:
    model = saved(kind, tmp_path)
    config = model.config.to_dict() | {key: value}
    with pytest.raises(ModelFileError) as caught:
        build_backbone(config)
    assert caught.value.place is not None and caught.value.place.file == "config.json"
