"""A pretrained model that answers as it is: judged, bundled and served without a step, or tuned from there."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tunesmith.bundle.opening import load
from tunesmith.bundle.verify import verify
from tunesmith.core.errors import ConfigError
from tunesmith.judge.stored import read_predictions
from tunesmith.run.config import parsed
from tunesmith.run.evaluate import evaluated
from tunesmith.run.events import Finished, Interrupted, Noted, Phase, RunEvent
from tunesmith.run.folder import opened
from tunesmith.run.train import run

TEXTS = [pair for n in range(20) for pair in ((f"my card {n} is lost", "lost"), (f"good help {n}", "good"))]
TASK = {"kind": "cloze_classification", "template": "{text} it is [blank].", "calibration": "contextual"}


def table(backbone: Path, **changes: Any) -> dict[str, Any]:
    train = {"length": "0 epochs", "precision": "fp32", "threads": 1}
    return {"backbone": str(backbone), "data": {"train": "rows.jsonl"}, "task": TASK, "train": train} | changes


@pytest.fixture
def place(tmp_path: Path) -> Path:
    rows = [json.dumps({"text": text, "label": label}) for text, label in TEXTS]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows), encoding="utf-8")
    return tmp_path


def events(place: Path, given: dict[str, Any], *, resume: bool = False) -> list[RunEvent]:
    return list(run(parsed(given, folder=place), opened(place / "run", resume=resume), origins={}, resume=resume))


def test_a_run_of_no_steps_is_judged_and_bundled(place: Path, tiny_bert_folder: Path) -> None:
    seen = events(place, table(tiny_bert_folder))
    assert isinstance(seen[-1], Finished)
    report = json.loads((place / "run" / "report.json").read_text(encoding="utf-8"))
    assert report["cost"]["steps"] == 0 and report["splits"]["test"]["metrics"]["accuracy"]["value"] >= 0
    blanks = [event.text for event in seen if isinstance(event, Noted) and event.text.startswith("at the blank")]
    assert len(blanks) == 2 and set(blanks) <= set(report["data"]["notes"])
    assert not list((place / "run" / "checkpoints").glob("step-*"))
    bundle = place / "run" / "bundle"
    verify(bundle)
    rows = list(read_predictions(place / "run" / "predictions.test.jsonl"))
    predictor = load(bundle)
    answer = predictor.predict(rows[0].text)
    assert answer.predicted == rows[0].predicted and answer.scores == pytest.approx(rows[0].scores, abs=1e-5)
    coarse = load(bundle, precision="bf16").predict(rows[0].text)
    assert coarse.scores == pytest.approx(rows[0].scores, abs=0.05)
    assert json.loads((bundle / "config.json").read_text(encoding="utf-8"))["architectures"] == ["BertForMaskedLM"]
    names = {name for name in load_file(bundle / "model.safetensors") if not name.startswith("bert.")}
    assert names == {name for name in load_file(tiny_bert_folder / "model.safetensors") if name.startswith("cls.")}
    task = predictor.bundle.manifest.task
    assert len(task["priors"]) == 2 and task["word_ids"]
    said = evaluated(bundle, place / "rows.jsonl").scores.metrics["accuracy"].value
    assert said == pytest.approx(sum(predictor.predict(text).predicted == label for text, label in TEXTS) / len(TEXTS))


@pytest.mark.gpu
def test_a_run_is_judged_on_the_gpu_and_its_bundle_says_the_same_elsewhere(place: Path, tiny_bert_folder: Path) -> None:
    given = table(tiny_bert_folder)
    events(place, given | {"train": given["train"] | {"device": "cuda"}})
    cost = json.loads((place / "run" / "report.json").read_text(encoding="utf-8"))["cost"]
    assert cost["device"] == "cuda" and cost["peak_gpu_mb"] > 0
    verify(place / "run" / "bundle")
    predictor = load(place / "run" / "bundle")
    for row in read_predictions(place / "run" / "predictions.test.jsonl"):
        assert predictor.predict(row.text).scores == pytest.approx(row.scores, abs=1e-3)


def test_a_run_of_no_steps_goes_on_where_it_was_killed_while_it_was_judged(place: Path, tiny_bert_folder: Path) -> None:
    config, folder, wish = parsed(table(tiny_bert_folder), folder=place), opened(place / "run", resume=False), []
    for event in run(config, folder, origins={}, should_stop=lambda: wish[0] if wish else None):
        if isinstance(event, Phase) and event.name == "judging":
            wish.append("SIGTERM")
    assert isinstance(event, Interrupted)
    assert isinstance(events(place, table(tiny_bert_folder), resume=True)[-1], Finished)


def test_names_of_labels_suffice_where_no_row_is_learnt(place: Path, tiny_bert_folder: Path) -> None:
    data = {"train": "rows.jsonl", "test": "rows.jsonl", "shots": 0}
    seen = events(place, table(tiny_bert_folder, data=data, task=TASK | {"calibration": "none"}))
    assert isinstance(seen[-1], Finished) and not any(isinstance(event, Interrupted) for event in seen)
    said = load(place / "run" / "bundle").predict(TEXTS[0][0])
    assert set(said.scores) == {"lost", "good"}


def test_a_fresh_head_must_learn(place: Path, tiny_bert_folder: Path) -> None:
    with pytest.raises(ConfigError, match="answer at random") as caught:
        events(place, table(tiny_bert_folder, task={"kind": "text_classification"}))
    assert caught.value.place is not None and caught.value.place.key == "train.length"


def test_tuning_goes_on_from_what_the_model_says_already(place: Path, tiny_bert_folder: Path) -> None:
    train = {"length": "8 epochs", "learning_rate": 1e-2, "precision": "fp32", "threads": 1}
    assert isinstance(events(place, table(tiny_bert_folder, train=train))[-1], Finished)
    report = json.loads((place / "run" / "report.json").read_text(encoding="utf-8"))
    assert report["splits"]["test"]["metrics"]["accuracy"]["value"] == 1.0
    predictor = load(place / "run" / "bundle")
    assert predictor.predict("my card 3 is lost").predicted == "lost"
    assert torch.equal(
        predictor.bundle.model.head.get_buffer("priors"), torch.tensor(predictor.bundle.task.as_table()["priors"])
    )
