"""The same road from Python: train, look, load, ask, evaluate, audit."""

import io
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import tunesmith as ts
from tunesmith.core.errors import MissingInputError, UsageError

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


class StopAfter(io.StringIO):
    """Progress that presses Ctrl-C once a line holds a word."""

    def __init__(self, word: str) -> None:
        super().__init__()
        self.word = word

    def write(self, text: str) -> int:
        if self.word in text:
            os.kill(os.getpid(), signal.SIGINT)
        return super().write(text)


def test_a_stopped_run_goes_on_from_a_worker_thread_too(tmp_path: Path, tiny_bert_folder: Path) -> None:
    def trained(progress: io.StringIO, *, resume: bool) -> ts.Run:
        return ts.train(
            SAMPLES / "train.jsonl",
            task="text_classification",
            backbone=str(tiny_bert_folder),
            out=tmp_path / "run",
            settings={"train": {"length": "2 epochs", "threads": 1}},
            resume=resume,
            progress=progress,
        )

    with pytest.raises(KeyboardInterrupt, match="saved at step"):
        trained(StopAfter("epoch 1.00"), resume=False)
    with ThreadPoolExecutor() as pool:
        run = pool.submit(trained, io.StringIO(), resume=True).result()
    assert run.bundle.is_dir() and run.report["cost"]["steps"] > 0


def test_going_on_needs_to_know_with_what() -> None:
    with pytest.raises(UsageError, match="which run") as caught:
        ts.train("data.jsonl", resume=True)
    assert "out=" in caught.value.fix


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
