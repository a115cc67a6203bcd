"""The main job on a GPU. Only a real backbone shows whether what it learns there is worth anything."""

import json
from pathlib import Path

import pytest

import tunesmith as ts
from tunesmith.run.plan import planned

SAMPLES = Path(__file__).parents[2] / "samples" / "support_en"


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(("method", "least"), [("full", 0.72), ("lora", 0.51)])
def test_entities_are_learnt_as_well_as_on_a_processor(
    tmp_path: Path, precision: str, method: str, least: float
) -> None:
    """A processor scores 0.82 [0.72, 0.90] and 0.63 [0.51, 0.74]."""
    run = ts.train(
        SAMPLES / "train.jsonl",
        task="token_classification",
        backbone="starter:english",
        out=tmp_path / "run",
        settings={
            "train": {"length": "6 epochs", "device": "cuda", "precision": precision},
            "method": {"kind": method},
        },
        progress=None,
    )
    assert ts.evaluate(run.bundle, SAMPLES / "test.jsonl").headline.value >= least


@pytest.mark.gpu
def test_a_plan_foretells_the_memory_of_the_gpu_and_the_run_tells_it(tmp_path: Path) -> None:
    settings = {"train": {"length": "3 epochs", "device": "cuda"}}
    train, task, backbone = SAMPLES / "train.jsonl", "token_classification", "starter:english"
    table = {"data": {"train": str(train)}, "task": {"kind": task}, "backbone": backbone, **settings}
    foretold = planned(table, folder=tmp_path, target=tmp_path / "planned").forecast
    run = ts.train(train, task=task, backbone=backbone, out=tmp_path / "run", settings=settings, progress=None)
    report = json.loads((run.folder / "report.json").read_text(encoding="utf-8"))
    assert report["environment"]["gpu"]
    assert foretold is not None and foretold.device_memory is not None
    assert foretold.device_memory.low <= 1e6 * report["cost"]["peak_gpu_mb"] <= foretold.device_memory.high
