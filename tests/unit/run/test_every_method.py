"""From rows to a bundle that verifies itself, with every method; stopped half-way, a run ends with the same bits."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tunesmith.bundle.manifest import ADDITIONS, BACKBONE, WEIGHTS
from tunesmith.bundle.opening import load
from tunesmith.bundle.verify import verify
from tunesmith.core.rooms import METHODS
from tunesmith.judge.stored import read_predictions
from tunesmith.run.config import parsed
from tunesmith.run.events import Finished, Interrupted, Noted, RunEvent
from tunesmith.run.folder import opened
from tunesmith.run.train import run
from tunesmith.tune.events import Stepped

TEXTS = [pair for n in range(20) for pair in ((f"my card {n} is lost", "card"), (f"hello number {n}", "greeting"))]
SMALL: dict[str, dict[str, object]] = {
    "adalora": {"rank": 4, "target_rank": 2, "every": 2},
    "adapter": {"size": 4, "placement": "houlsby"},
    "prefix": {"length": 3, "projected": True, "hidden": 8},
    "soft_prompt": {"length": 3, "network": "mlp", "hidden": 8},
    "lora": {"rank": 2, "decomposed": True, "start": "principal"},
    "layer_freeze": {"gradual": True},
}
STANDING = {
    "adapter": ("Bottleneck",),
    "prefix": ("PrefixedCore", "ShiftedPositions"),
    "soft_prompt": ("PromptRows",),
}
"""What a method leaves around the layers of the backbone"""


@pytest.fixture
def table(tmp_path: Path, tiny_bert_folder: Path, kind: str) -> dict[str, Any]:
    rows = [json.dumps({"text": text, "label": label}) for text, label in TEXTS]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows), encoding="utf-8")
    train = {"length": "3 epochs", "batch_size": 8, "precision": "fp32", "threads": 1, "learning_rate": 0.01}
    return {
        "backbone": str(tiny_bert_folder),
        "data": {"train": "rows.jsonl", "dev": "rows.jsonl", "test": "rows.jsonl"},
        "task": {"kind": "text_classification"},
        "method": {"kind": kind, **SMALL.get(kind, {})},
        "train": train | {"save_every": "2 steps"},
    }


def finished(
    table: dict[str, Any], folder: Path, *, resume: bool = False, wish: Callable[[], str | None] = lambda: None
) -> list[RunEvent]:
    config = parsed(table, folder=folder.parent)
    return list(run(config, opened(folder, resume=resume), origins={}, resume=resume, should_stop=wish))


def tensors(bundle: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in bundle.glob("*.safetensors")}


@pytest.mark.parametrize("kind", METHODS.kinds)
def test_a_run_that_is_stopped_ends_as_one_that_is_not(table: dict[str, Any], tmp_path: Path, kind: str) -> None:
    whole = finished(table, tmp_path / "whole")
    assert isinstance(whole[-1], Finished)
    steps = 0

    def tired() -> str | None:
        return "SIGTERM" if steps >= 7 else None

    config = parsed(table, folder=tmp_path)
    for event in run(config, opened(tmp_path / "cut", resume=False), origins={}, should_stop=tired):
        steps += isinstance(event, Stepped)
    assert isinstance(event, Interrupted) and steps == 7
    assert isinstance(finished(table, tmp_path / "cut", resume=True)[-1], Finished)
    assert tensors(tmp_path / "cut" / "bundle") == tensors(tmp_path / "whole" / "bundle")
    guided = [
        event.text
        for event in whole
        if isinstance(event, Noted) and ("directions" in event.text or "wake" in event.text)
    ]
    assert len(guided) == (kind in ("adalora", "layer_freeze"))


@pytest.mark.parametrize("kind", METHODS.kinds)
def test_the_bundle_answers_as_the_run_did(table: dict[str, Any], tmp_path: Path, kind: str) -> None:
    finished(table, tmp_path / "run")
    bundle = tmp_path / "run" / "bundle"
    assert verify(bundle).golden_rows == 32
    predictor = load(bundle)
    assert predictor.bundle.manifest.additions == STANDING.get(kind, ())
    stored = list(read_predictions(tmp_path / "run" / "predictions.test.jsonl"))
    answers = [predictor.predict(text) for text, _ in TEXTS]
    assert [answer.predicted for answer in answers] == [row.predicted for row in stored]


@pytest.mark.parametrize("kind", STANDING)
def test_nobody_opens_the_backbone_without_what_stands_around_it(
    table: dict[str, Any], tmp_path: Path, kind: str
) -> None:
    from transformers import AutoModelForSequenceClassification

    finished(table, tmp_path / "run")
    bundle = tmp_path / "run" / "bundle"
    names = {file.name for file in bundle.iterdir()}
    assert {BACKBONE, ADDITIONS} <= names and WEIGHTS not in names
    with pytest.raises(OSError, match="safetensors"):
        AutoModelForSequenceClassification.from_pretrained(bundle)
