"""A folder written from `hub_config` and `hub_state` opens in transformers with equal logits."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import save_file
from torch import Tensor

from tunesmith.core.batch import Batch
from tunesmith.core.model import Model
from tunesmith.models.heads import answer_head, sequence_head, token_head
from tunesmith.models.hub_config import hub_config
from tunesmith.models.hub_names import hub_state, load_hub_state
from tunesmith.models.loading import build_backbone

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "vocab_size": 100,
    "initializer_range": 0.3,
    "max_position_embeddings": 64,
}
DISTILBERT = {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32, "vocab_size": 100, "initializer_range": 0.3}
OWN = {
    "bert": SIZES,
    "roberta": SIZES | {"type_vocab_size": 1, "pad_token_id": 1},
    "xlm-roberta": SIZES | {"type_vocab_size": 1, "pad_token_id": 1},
    "electra": SIZES | {"embedding_size": 8},
    "distilbert": DISTILBERT,
}
HOSTED = {
    "mpnet": SIZES | {"pad_token_id": 1},
    "albert": SIZES | {"embedding_size": 8},
    "deberta-v2": SIZES | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_biased_input": False},
    "deberta": SIZES | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
    "camembert": SIZES | {"type_vocab_size": 1, "pad_token_id": 1},
}
LENGTHS = (7, 3, 12, 12)


def model_of(config: dict[str, object], *, tokens: bool) -> Model:
    torch.manual_seed(1)
    backbone = build_backbone(config)
    return Model(backbone, token_head(backbone, 3) if tokens else sequence_head(backbone, 3)).eval()


def write(folder: Path, model: Model, problem: str) -> None:
    config = hub_config(model, labels=["a", "b", "c"], problem=problem)  # type: ignore[arg-type]
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    save_file(hub_state(model), folder / "model.safetensors", metadata={"format": "pt"})


def theirs(folder: Path, batch: Batch, *, tokens: bool) -> Tensor:
    """Logits of the first token of every window, each window alone."""
    kind = transformers.AutoModelForTokenClassification if tokens else transformers.AutoModelForSequenceClassification
    model, report = kind.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    with torch.no_grad():
        logits = [model.eval()(input_ids=ids[None]).logits for ids in batch.input_ids.split(batch.lengths)]
    return torch.cat([row[:, 0] if tokens else row for row in logits])


@pytest.mark.parametrize("tokens", [True, False], ids=["tokens", "sequence"])
@pytest.mark.parametrize("kind", OWN)
def test_own_families_open_in_transformers(
    kind: str, tokens: bool, tmp_path: Path, random_batch: Callable[..., Batch]
) -> None:
    model = model_of({"model_type": kind} | OWN[kind], tokens=tokens)
    write(tmp_path, model, "token" if tokens else "single_label")
    batch = random_batch(LENGTHS)
    torch.testing.assert_close(model(batch).logits, theirs(tmp_path, batch, tokens=tokens), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", HOSTED)
def test_hosted_token_classifiers_open_in_transformers(
    kind: str, tmp_path: Path, random_batch: Callable[..., Batch]
) -> None:
    model = model_of({"model_type": kind} | HOSTED[kind], tokens=True)
    write(tmp_path, model, "token")
    batch = random_batch(LENGTHS)
    torch.testing.assert_close(model(batch).logits, theirs(tmp_path, batch, tokens=True), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", [*OWN, *HOSTED])
def test_models_for_questions_open_in_transformers(
    kind: str, tmp_path: Path, random_batch: Callable[..., Batch]
) -> None:
    torch.manual_seed(1)
    backbone = build_backbone({"model_type": kind} | (OWN | HOSTED)[kind])
    model = Model(backbone, answer_head(backbone)).eval()
    config = hub_config(model, labels=["start", "end"], problem="answer")
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    save_file(hub_state(model), tmp_path / "model.safetensors", metadata={"format": "pt"})
    opened, report = transformers.AutoModelForQuestionAnswering.from_pretrained(
        tmp_path, dtype=torch.float32, output_loading_info=True
    )
    assert not report["missing_keys"] and not report["unexpected_keys"]
    batch = random_batch(LENGTHS)
    with torch.no_grad():
        found = [opened.eval()(input_ids=ids[None]) for ids in batch.input_ids.split(batch.lengths)]
    logits = torch.stack([torch.stack((own.start_logits[0, 0], own.end_logits[0, 0])) for own in found])
    torch.testing.assert_close(model(batch).logits, logits, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", [*OWN, *HOSTED])
def test_a_model_is_filled_again_from_its_hub_state(kind: str, random_batch: Callable[..., Batch]) -> None:
    config = {"model_type": kind} | (OWN | HOSTED)[kind]
    first = model_of(config, tokens=False)
    written = hub_config(first, labels=["a", "b", "c"], problem="single_label")
    backbone = build_backbone(json.loads(json.dumps(written)))
    second = Model(backbone, sequence_head(backbone, 3)).eval()
    load_hub_state(second, hub_state(first))
    batch = random_batch(LENGTHS)
    assert torch.equal(first(batch).logits, second(batch).logits)
