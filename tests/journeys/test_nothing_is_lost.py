"""A run never begins anew unasked, nor goes on as another one. Kills, signals and second writers are figures."""

import os
import re
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


def test_other_data_are_refused(configured: Path, tmp_path: Path, tunesmith: Callable[..., Any]) -> None:
    run = tmp_path / "run"
    process = started(configured, run, "--set", "train.length=500 epochs")
    wait_for_steps(run, 10)
    process.terminate()
    process.communicate(timeout=60)
    words = ("train", configured, "--out", run, "--resume", "--set", "train.length=500 epochs")
    done = tunesmith(*words, "--set", "data.limit=300")
    assert (done.code, "the train rows changed" in done.err) == (65, True)
    assert re.search(r"sha256 [0-9a-f]{16} then, [0-9a-f]{16} now", done.err), "both fingerprints"
