"""`import tunesmith` and `tunesmith --help` cost nothing: no torch, no transformers."""

import json
import subprocess
import sys

import pytest

TRACKING = {"wandb", "mlflow", "tensorboard", "sqlalchemy"}
PROBE = """
import json, sys
try:
    {code}
except SystemExit:
    pass
print("MODULES", json.dumps(sorted(sys.modules)))
"""


def modules_after(code: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", PROBE.format(code=code)], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.rpartition("MODULES ")[2]))


@pytest.mark.parametrize(
    "code",
    [
        "import tunesmith",
        "from tunesmith.cli.main import app; app(['--help'])",
        "from tunesmith.cli.main import app; app(['train', '--help'])",
        "from tunesmith.cli.main import app; app(['serve', '--help'])",
        "import tunesmith.prepare.reading, tunesmith.prepare.audit",
        "from tunesmith.cli.main import app; app(['runs', 'diff', '--help'])",
        "import tunesmith.run.catalogue, tunesmith.run.account, tunesmith.run.difference, tunesmith.run.journal",
        "import tunesmith.judge.report, tunesmith.judge.page, tunesmith.judge.scoring",
        "import tunesmith.run.tracker_process, tunesmith.run.trackers.json_lines, tunesmith.run.trackers.wandb",
    ],
)
def test_torch_stays_out(code: str) -> None:
    heavy = modules_after(code) & ({"torch", "transformers", "sklearn", "starlette", "datasets"} | TRACKING)
    assert not heavy


def test_a_run_begins_without_what_only_judging_needs() -> None:
    heavy = modules_after("import tunesmith.run.train, tunesmith.run.config, tunesmith.cli.progress")
    assert "torch" in heavy and not heavy & {"sklearn", "scipy", "pandas", "transformers", "datasets"}
