"""The worked example of CONTRIBUTING.md does what it says: one file, found by its name, held to the laws."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder that holds the example as a package with the entry point that the guide shows."""
    package = tmp_path / "my_package"
    package.mkdir()
    (package / "__init__.py").touch()
    code = re.search(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    entry = re.search(r'```toml\n\[project\.entry-points\."(.*?)"\]\n(.*?) = "(.*?)"\n```', GUIDE)
    assert code is not None and entry is not None
    (package / f"{entry[2]}.py").write_text(code[1], encoding="utf-8")
    metadata = tmp_path / "my_package-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[{entry[1]}]\n{entry[2]} = {entry[3]}\n")
    return tmp_path


def run(installed: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(ROOT / "src"), str(installed)])
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )


def test_the_guide_is_short() -> None:
    assert len(GUIDE.splitlines()) <= 60


def test_the_laws_and_the_rules_for_components_run_over_the_example_and_hold(installed: Path) -> None:
    where = ["tests/laws", "tests/architecture/test_components.py"]
    done = run(installed, "-m", "pytest", "-q", "-p", "no:cacheprovider", *where, "-k", "confidence_penalty")
    assert done.returncode == 0, done.stdout[-3000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None and int(passed[1]) >= 6, done.stdout[-500:]


def test_its_docstring_is_its_help(installed: Path) -> None:
    done = run(installed, "-m", "tunesmith.cli.main", "config", "explain", "regularizers.confidence_penalty.weight")
    assert done.returncode == 0, done.stderr
    assert "How much certainty costs beside the task's loss." in done.stdout
