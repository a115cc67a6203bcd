"""Silver pairs: made by the real starter from training texts only, learnt once and first, the same after a stop."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tunesmith.core.errors import ConfigError, DataError, ModelFileError, Place
from tunesmith.run.config import RunConfig, parsed
from tunesmith.run.events import Finished, Interrupted
from tunesmith.run.folder import RunFolder, opened
from tunesmith.run.lessons import tuned_model
from tunesmith.run.prepared import prepared
from tunesmith.run.silver import read_learnt, read_silver, silver_pairs
from tunesmith.run.train import run
from tunesmith.tune.events import Started, Stepped

THINGS = ["a red bicycle", "two grey cats", "the morning train", "fresh bread", "an old violin", "rain in the hills"]


def pairs() -> list[dict[str, Any]]:
    near = [(f"{a} near the house", f"there is {a} by the house", 4.5) for a in THINGS]
    far = [(f"{a} in the garden", f"nobody saw {b} this year", 0.5) for a in THINGS for b in THINGS if a != b]
    return [{"text": a, "pair": b, "score": score} for a, b, score in [*near * 4, *far]]


def config(folder: Path, *, silver: int, **changes: Any) -> RunConfig:
    file = folder / "pairs.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in pairs()))
    table: dict[str, Any] = {
        "data": {"train": "pairs.jsonl", "dev": "pairs.jsonl", "test": "pairs.jsonl"},
        "silver": {"pairs": silver, "batch_size": 8},
        "task": {"kind": "pair_matching"},
        "train": {"length": "2 epochs", "precision": "fp32", "threads": 1, "batch_size": 8},
    }
    return parsed(table | changes, folder=folder)


def test_silver_pairs_are_given_and_new_pairs_of_training_texts_scored_on_their_scale(tmp_path: Path) -> None:
    ready = prepared(config(tmp_path, silver=40))
    silver = silver_pairs(ready, 40)
    assert len(silver.examples) == len(pairs()) + 40 and silver.agreement > 0.5
    texts = {text for row in pairs() for text in (row["text"], row["pair"])}
    given = {frozenset((row["text"], row["pair"])) for row in pairs()}
    made = [frozenset((example.text, example.pair)) for example in silver.examples]
    assert set().union(*made) <= texts and set(made[: len(pairs())]) == given
    assert len(set(made[len(pairs()) :])) == 40 and not set(made[len(pairs()) :]) & given
    assert all(0.5 <= float(str(example.gold)) <= 4.5 for example in silver.examples)


def test_a_stopped_run_goes_on_with_the_same_pairs(tmp_path: Path, tiny_bert_folder: Path) -> None:
    made, folder = config(tmp_path, silver=16, backbone=str(tiny_bert_folder)), tmp_path / "run"
    wishes: list[str] = []

    def should_stop() -> str | None:
        return wishes[-1] if wishes else None

    events = []
    for event in run(made, opened(folder, resume=False), origins={}, should_stop=should_stop):
        events.append(event)
        wishes += ["SIGINT"] if isinstance(event, Stepped) else []
    (started,) = (event for event in events if isinstance(event, Started))
    assert (started.step, started.steps) == (0, 9)
    assert isinstance(events[-1], Interrupted)
    kept = read_silver(RunFolder(folder).silver)
    assert len(kept) == 54 + 16
    *events, last = run(made, opened(folder, resume=True), origins={}, resume=True)
    assert [(event.step, event.steps) for event in events if isinstance(event, Started)] == [(1, 9), (0, 14)]
    assert isinstance(last, Finished)
    assert last.record["cost"]["steps"] == 9 + 14
    assert read_silver(RunFolder(folder).silver) == kept


def test_silver_pairs_are_behind_a_run_that_stopped_later(tmp_path: Path, tiny_bert_folder: Path) -> None:
    made, folder = config(tmp_path, silver=16, backbone=str(tiny_bert_folder)), tmp_path / "run"
    wishes: list[str] = []

    def should_stop() -> str | None:
        return wishes[-1] if wishes else None

    begun = 0
    for event in run(made, opened(folder, resume=False), origins={}, should_stop=should_stop):
        begun += isinstance(event, Started)
        wishes += ["SIGTERM"] if begun == 2 and isinstance(event, Stepped) else []
    *events, last = run(made, opened(folder, resume=True), origins={}, resume=True)
    assert [(event.step, event.steps) for event in events if isinstance(event, Started)] == [(1, 14)]
    assert isinstance(last, Finished)
    learnt = RunFolder(folder).silver.learnt / "tensors.safetensors"
    learnt.write_bytes(learnt.read_bytes()[:-1] + b"?")
    ready = prepared(made)
    with pytest.raises(ModelFileError, match="has changed"):
        read_learnt(RunFolder(folder).silver, tuned_model(ready))
    *_, straight = run(made, opened(tmp_path / "straight", resume=False), origins={})
    assert isinstance(straight, Finished)
    weights = [(path / "bundle" / "model.safetensors").read_bytes() for path in (folder, tmp_path / "straight")]
    assert weights[0] == weights[1]


def test_what_has_no_scores_has_no_silver_pairs(tmp_path: Path) -> None:
    rows = [{"text": "a", "label": "x"}, {"text": "b", "label": "y"}] * 4
    classes = config(tmp_path, silver=4, task={"kind": "text_classification"})
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(ConfigError, match="only pairs with scores"):
        prepared(classes)


def test_a_misspelt_key_is_named_before_the_one_that_is_then_missing(tmp_path: Path) -> None:
    table = {"data": {"train": "pairs.jsonl"}, "silver": {"pair": 10}}
    with pytest.raises(ConfigError, match="unknown key") as caught:
        parsed(table, folder=tmp_path)
    assert caught.value.place == Place(key="silver.pair") and "did you mean 'pairs'?" in caught.value.fix
    with pytest.raises(ConfigError, match="required") as caught:
        parsed(table | {"silver": {}}, folder=tmp_path)
    assert "silver.pairs" in caught.value.fix


def test_a_backbone_that_sees_another_likeness_is_refused(tmp_path: Path) -> None:
    ready = prepared(config(tmp_path, silver=4))
    turned = [replace(example, gold=5.0 - float(str(example.gold))) for example in ready.data.train]
    with pytest.raises(DataError, match="does not follow the training scores") as caught:
        silver_pairs(replace(ready, data=replace(ready.data, train=tuple(turned))), 4)
    assert caught.value.fix
