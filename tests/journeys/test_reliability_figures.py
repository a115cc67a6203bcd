"""Every figure of `benchmarks/reliability` at a small count, and with `-m slow` at its published one."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from reliability.figure import Figure
from reliability.promises import FIGURES

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "reliability" / "figures.py"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs fork and /proc")


def rows(folder: Path, *words: str) -> dict[str, Any]:
    """What the script found, by figure. It runs in a process of its own, whose children have one thread."""
    file = folder / "rows.jsonl"
    command = [sys.executable, str(SCRIPT), "--rows", str(file), *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=900)
    assert file.is_file(), done.stderr
    return {row["id"]: row for row in map(json.loads, file.read_text(encoding="utf-8").splitlines())}


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All figures at once, so that torch is imported once."""
    return rows(tmp_path_factory.mktemp("quick"), "--quick")


@pytest.mark.parametrize("figure", [figure for figure in FIGURES if figure.quick], ids=lambda figure: figure.id)
def test_a_promise_is_kept_a_few_times(quick: dict[str, Any], figure: Figure) -> None:
    assert quick[figure.id]["met"], quick[figure.id]["faults"]


@pytest.mark.slow
@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.id)
def test_a_promise_is_kept_as_often_as_is_published(tmp_path: Path, figure: Figure) -> None:
    row = rows(tmp_path, figure.id)[figure.id]
    assert row["met"], row["faults"]


def test_every_figure_has_its_own_script() -> None:
    scripts = [figure.script for figure in FIGURES]
    assert len(set(scripts)) == len(scripts)
    assert all((SCRIPT.parents[2] / script).is_file() for script in scripts)
