"""A run never begins anew unasked. Kills, signals, full disks and second writers are figures of reliability."""

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
