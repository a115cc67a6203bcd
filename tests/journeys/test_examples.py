"""Every file in examples/ runs, and the tutorial's numbers are what the files print."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXTBOOK = sorted((ROOT / "examples" / "textbook").glob("*.py"))
WHOLE_ROADS = sorted((ROOT / "examples").glob("*.py"))
TUTORIALS = [ROOT / "docs" / "tutorial.md", ROOT / "docs" / "zh" / "tutorial.md"]


def printed(file: Path, folder: Path) -> str:
    """What an example says; it works in `folder`, so that it leaves nothing behind."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(file)], cwd=folder, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize("file", TEXTBOOK, ids=lambda file: file.stem)
def test_the_tutorials_show_what_the_code_prints(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(file.parent))
    runpy.run_path(str(file), run_name="__main__")
    said = capsys.readouterr().out
    for tutorial in TUTORIALS:
        text = tutorial.read_text(encoding="utf-8")
        shown = re.search(rf"examples/textbook/{file.name}\n(.*?)```", text, re.DOTALL)
        assert shown, f"{tutorial.name} does not show examples/textbook/{file.name}"
        for line in shown[1].strip().splitlines():
            assert line.strip() == "..." or line.rstrip() in said, f"{tutorial.name}: {line!r} is not printed"


@pytest.mark.slow
@pytest.mark.parametrize("file", WHOLE_ROADS, ids=lambda file: file.stem)
def test_a_whole_road_runs(file: Path, tmp_path: Path) -> None:
    assert printed(file, tmp_path)
