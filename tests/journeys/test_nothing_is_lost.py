"""Stopped, killed, refused: a run goes on to the same bits, and never begins anew unasked."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SAMPLES = Path(__file__).parents[2] / "samples"


@pytest.fixture
def configured(tmp_path: Path, tiny_bert_folder: Path) -> Path:
    file = tmp_path / "run.toml"
    file.write_text(
        f'backbone = "{tiny_bert_folder}"\n[data]\ntrain = "{SAMPLES}/support_en/train.jsonl"\n'
        '[task]\nkind = "text_classification"\n'
        '[train]\nlength = "6 epochs"\nprecision = "fp32"\nthreads = 1\nsave_every = "7 steps"\n',
        encoding="utf-8",
    )
    return file


def weights(run: Path) -> str:
    return hashlib.sha256((run / "bundle" / "model.safetensors").read_bytes()).hexdigest()


def steps(run: Path) -> list[float]:
    lines = (run / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    return [event["loss"] for event in map(json.loads, lines) if event["event"] == "step"]


def started(file: Path, run: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tunesmith.cli.main", "train", str(file), "--out", str(run), *more]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def wait_for_steps(run: Path, count: int) -> None:
    for _ in range(1200):
        journal = run / "journal.jsonl"
        if journal.exists() and journal.read_text(encoding="utf-8").count('"event": "step"') >= count:
            return
        time.sleep(0.05)
    raise AssertionError(f"the run did not make {count} steps in a minute")


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_stopped_run_goes_on_to_the_same_bits(
    number: signal.Signals, code: int, configured: Path, tmp_path: Path, tunesmith: Callable[..., Any]
) -> None:
    whole = tmp_path / "whole"
    assert tunesmith("train", configured, "--out", whole).code == 0
    run = tmp_path / "stopped"
    process = started(configured, run)
    wait_for_steps(run, 20)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "Traceback" not in err
    assert not (run / "bundle").exists()
    done = tunesmith("train", configured, "--out", run, "--resume")
    assert done.code == 0, done.err
    assert weights(run) == weights(whole)
    assert steps(run) == steps(whole)


def test_the_same_command_twice_gives_the_same_bits(
    configured: Path, tmp_path: Path, tunesmith: Callable[..., Any]
) -> None:
    for name in ("first", "second"):
        assert tunesmith("train", configured, "--out", tmp_path / name, "--set", "train.length=1 epoch").code == 0
    assert weights(tmp_path / "first") == weights(tmp_path / "second")


def test_a_run_never_begins_anew_unasked(configured: Path, tmp_path: Path, tunesmith: Callable[..., Any]) -> None:
    run = tmp_path / "run"
    done = tunesmith("train", configured, "--out", run, "--resume")
    assert (done.code, "TS-RUN-004" in done.err) == (66, True)
    assert tunesmith("train", configured, "--out", run, "--set", "train.length=1 epoch").code == 0
    done = tunesmith("train", configured, "--out", run)
    assert (done.code, "TS-RUN-005" in done.err) == (73, True)
    done = tunesmith("train", configured, "--out", run, "--resume", "--set", "train.length=1 epoch")
    assert done.code == 0, done.err
    assert "complete" in done.out


def test_two_writers_are_one_too_many(configured: Path, tmp_path: Path, tunesmith: Callable[..., Any]) -> None:
    run = tmp_path / "run"
    process = started(configured, run, "--set", "train.length=500 epochs")
    try:
        wait_for_steps(run, 8)
        done = tunesmith("train", configured, "--out", run, "--resume")
        assert (done.code, "TS-RUN-003" in done.err) == (75, True)
        assert f"pid {process.pid}" in done.err
    finally:
        process.kill()
        process.communicate()


def test_other_data_are_refused(configured: Path, tmp_path: Path, tunesmith: Callable[..., Any]) -> None:
    run = tmp_path / "run"
    process = started(configured, run, "--set", "train.length=500 epochs")
    wait_for_steps(run, 10)
    process.terminate()
    process.communicate(timeout=60)
    words = ("train", configured, "--out", run, "--resume", "--set", "train.length=500 epochs")
    done = tunesmith(*words, "--set", "data.limit=300")
    assert (done.code, "the train rows changed" in done.err) == (65, True)
