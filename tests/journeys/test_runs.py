"""A run is watched from outside while it begins, works, is killed, goes on and is stopped."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SAMPLES = Path(__file__).parents[2] / "samples"


def test_what_is_listed_is_what_happens(tmp_path: Path, tiny_bert_folder: Path, tunesmith: Callable[..., Any]) -> None:
    file = tmp_path / "run.toml"
    file.write_text(
        f'backbone = "{tiny_bert_folder}"\n[data]\ntrain = "{SAMPLES}/support_en/train.jsonl"\n'
        '[task]\nkind = "text_classification"\n[train]\nlength = "500 epochs"\nprecision = "fp32"\nthreads = 1\n'
        'save_every = "7 steps"\nevaluate_every = "5 steps"\n',
        encoding="utf-8",
    )
    run = tmp_path / "runs" / "one"

    def started(*more: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tunesmith.cli.main", "train", str(file), "--out", str(run), *more]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"})

    def listed() -> dict[str, Any]:
        done = tunesmith("runs", tmp_path / "runs", "--json")
        assert done.code == 0, done.err
        (row,) = json.loads(done.out)["runs"]
        return dict(row)

    def waited_for(wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        for _ in range(600):
            if run.is_dir() and any(run.iterdir()) and wanted(row := listed()):
                return row
            time.sleep(0.1)
        raise AssertionError(f"it never came to that: {listed()}")

    process = started()
    try:
        row = waited_for(lambda row: row["score"] is not None and "step" in row["detail"])
        assert (row["state"], row["score"]["split"]) == ("running", "dev")
        assert f"(pid {process.pid})" in row["detail"] and 0 < row["done"] < 1
        waited_for(lambda row: int(row["detail"].split()[1]) > 20)
        process.kill()
        process.wait()
        row = listed()
        assert row["state"] == "interrupted"
        killed_at = row["done"]

        process = started("--resume")
        row = waited_for(lambda row: row["state"] == "running")
        waited_for(lambda row: row["done"] > killed_at)
        process.send_signal(signal.SIGTERM)
        process.wait()
        row = listed()
        assert (row["state"], row["detail"].split(" at ")[0]) == ("stopped", "by SIGTERM")
        assert "--resume" in tunesmith("runs", "show", run).out
    finally:
        process.kill()
        process.wait()
