"""SIGKILL at any moment: the run goes on unaided and ends bitwise as if nothing had happened."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("killed_runs.py")


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")
@pytest.mark.parametrize("trials", [2, pytest.param(50, marks=pytest.mark.slow)])
def test_killed_runs_end_at_the_same_bits(tmp_path: Path, trials: int) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, SCRIPT, str(tmp_path), str(trials)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["equal"] == trials and result["kills"] >= trials
