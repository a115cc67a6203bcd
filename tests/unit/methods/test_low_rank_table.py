"""LoRA on the words: what it computes, that only words of training move, and where it has no meaning."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.testing import assert_close

from tunesmith.core.errors import ConfigError
from tunesmith.core.model import Model
from tunesmith.core.rooms import TASKS
from tunesmith.methods._low_rank_table import LowRankTable
from tunesmith.methods.lora import Lora
from tunesmith.models.surgery import apply_method, compact_vocabulary, merge
from tunesmith.run.config import parsed
from tunesmith.run.events import Finished, Interrupted
from tunesmith.run.folder import opened
from tunesmith.run.train import run
from tunesmith.tune.events import Stepped

WORDS = "backbone.embeddings.words"


def test_each_row_moves_by_its_own_numbers() -> None:
    base = nn.Embedding(7, 4, padding_idx=0)
    layer, ids = LowRankTable(base, 2, scale=1.5), torch.tensor([[1, 3], [0, 6]])
    assert torch.equal(layer(ids), base(ids))
    nn.init.normal_(layer.rows.weight)
    by_hand = base.weight + 1.5 * layer.lora_A @ layer.lora_B.T
    assert_close(layer(ids), by_hand[ids])
    merged = layer.merged()
    assert isinstance(merged, nn.Embedding) and merged.padding_idx == 0
    assert_close(merged.weight, by_hand)


def test_only_rows_that_occur_stand_in_training(tiny_model: Callable[..., Model], random_batch: Any) -> None:
    model = tiny_model(TASKS.make({"kind": "text_classification", "labels": ["a", "b"]}, key="task")).eval()
    apply_method(model, Lora(rank=3, targets=["words"]))
    batch, strange = random_batch((5, 9)), random_batch((4,), seed=5)
    used = sorted(set(batch.input_ids.tolist()))
    before = [model(one).logits for one in (batch, strange)]
    compact = compact_vocabulary(model, used)
    learning = {name: p for name, p in model.named_parameters() if p.requires_grad and name.startswith(WORDS)}
    assert learning[f"{WORDS}.rows.weight"].shape == (len({0, *used}), 3)
    for one, logits in zip((batch, strange), before, strict=True):
        assert_close(model(one).logits, logits)
    with torch.no_grad():
        for parameter in learning.values():
            parameter.add_(0.3)
    moved = model(batch).logits
    compact.restore(model)
    wrapped = model.get_submodule(WORDS)
    assert isinstance(wrapped, LowRankTable)
    frozen = wrapped.base.weight
    merge(model)
    assert_close(model(batch).logits, moved)
    changed = (model.get_parameter(f"{WORDS}.weight") != frozen).any(1).nonzero().flatten().tolist()
    assert changed == sorted({0, *used}) and before[0].ne(moved).any()


@pytest.mark.parametrize(("options", "key"), [({"decomposed": True}, "decomposed"), ({"start": "principal"}, "start")])
def test_a_table_has_plain_updates_only(options: dict[str, Any], key: str, tiny_model: Callable[..., Model]) -> None:
    model = tiny_model(TASKS.make({"kind": "text_classification", "labels": ["a", "b"]}, key="task"))
    with pytest.raises(ConfigError, match="is a table of embeddings") as caught:
        apply_method(model, Lora(targets=["query", "words"], **options))
    assert str(caught.value.place) == f"method.{key}"
    assert not any(isinstance(module, LowRankTable) for module in model.modules())


def table(backbone: Path, task: dict[str, Any], **train: object) -> dict[str, Any]:
    return {
        "backbone": str(backbone),
        "data": {"train": "rows.jsonl"},
        "task": task,
        "method": {"kind": "lora", "rank": 2, "targets": ["query", "words"]},
        "train": {"length": "4 epochs", "learning_rate": 0.02, "precision": "fp32", "threads": 1, **train},
    }


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    lines = [{"text": f"my card {n} is {word}", "label": word} for n in range(12) for word in ("lost", "good")]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return tmp_path


def test_a_table_that_is_the_language_head_too_is_refused(rows: Path, tiny_bert_folder: Path) -> None:
    task = {"kind": "cloze_classification", "template": "{text} it is [blank]."}
    with pytest.raises(ConfigError, match="is the language head too") as caught:
        list(run(parsed(table(tiny_bert_folder, task), folder=rows), opened(rows / "run", resume=False), origins={}))
    assert str(caught.value.place) == "method.targets"


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_run_that_stops_and_goes_on_ends_as_one_that_did_not(
    precision: str, rows: Path, tiny_bert_folder: Path
) -> None:
    config = parsed(table(tiny_bert_folder, {"kind": "text_classification"}, precision=precision), folder=rows)
    steps: list[Stepped] = []
    cut = opened(rows / "cut", resume=False)
    for event in run(config, cut, origins={}, should_stop=lambda: "a signal" if len(steps) == 3 else None):
        if isinstance(event, Stepped):
            steps.append(event)
    assert isinstance(event, Interrupted)
    *_, last = run(config, opened(rows / "cut", resume=True), origins={}, resume=True)
    *_, straight = run(config, opened(rows / "whole", resume=False), origins={})
    assert isinstance(last, Finished) and isinstance(straight, Finished)
    states = [load_file(rows / name / "bundle" / "model.safetensors") for name in ("cut", "whole")]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[1])
    words = "bert.embeddings.word_embeddings.weight"
    moved = (states[1][words] != load_file(tiny_bert_folder / "model.safetensors")[words.removeprefix("bert.")]).any(1)
    assert 5 < int(moved.sum()) < len(moved)
