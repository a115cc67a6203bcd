"""The same road from Python: train, look, load, ask, evaluate, audit."""

import io
import subprocess
import sys
from pathlib import Path

import pytest

import tunesmith as ts
from tunesmith.core.errors import MissingInputError

SAMPLES = Path(__file__).parents[2] / "samples" / "support_en"


def test_from_a_file_to_an_answer(tmp_path: Path, tiny_bert_folder: Path) -> None:
    told = io.StringIO()
    run = ts.train(
        SAMPLES / "train.jsonl",
        task="token_classification",
        backbone=str(tiny_bert_folder),
        out=tmp_path / "run",
        settings={"train": {"length": "1 epoch", "threads": 1}},
        progress=told,
    )
    assert run.report["task"] == "token_classification"
    assert run.report["headline"] in repr(run)
    assert "<iframe" in run._repr_html_()
    assert "training" in told.getvalue()
    model = ts.load(run.bundle)
    answer = model.predict("Where is parcel TR-80011?")
    assert answer.text == "Where is parcel TR-80011?"
    assert len(model.predict(["one", "two"])) == 2
    scores = ts.evaluate(run.bundle, SAMPLES / "test.jsonl")
    assert 0 <= scores.headline.low <= scores.headline.value <= scores.headline.high <= 1
    assert ts.audit(SAMPLES / "train.jsonl").status == "ok"


def test_a_second_run_gets_a_folder_of_its_own(
    tmp_path: Path, tiny_bert_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = {"train": {"length": "1 epoch", "threads": 1}}
    runs = [
        ts.train(
            SAMPLES / "train.jsonl",
            task="text_classification",
            backbone=str(tiny_bert_folder),
            settings=settings,
            progress=None,
        )
        for _ in range(2)
    ]
    assert [run.folder.name for run in runs] == ["train", "train-2"]


def test_errors_carry_their_remedy() -> None:
    with pytest.raises(MissingInputError, match=r"nowhere\.jsonl") as caught:
        ts.audit("nowhere.jsonl")
    assert caught.value.exit_code == 66


def test_an_unknown_name_says_what_there_is() -> None:
    with pytest.raises(AttributeError, match="train"):
        ts.trian  # type: ignore[attr-defined]  # noqa: B018
    assert set(dir(ts)) >= {"train", "load", "audit", "evaluate", "serve"}


def test_importing_costs_nothing() -> None:
    code = "import sys, tunesmith; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
