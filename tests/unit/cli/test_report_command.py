"""`tunesmith report` needs no torch, prints the verdict first, and its JSON is report.json."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from tunesmith.cli.report import report
from tunesmith.core.errors import MissingInputError
from tunesmith.core.prediction import Prediction
from tunesmith.judge.report import RunFacts, build_report, judge_split
from tunesmith.judge.stored import write_predictions

app = typer.Typer()
app.command()(report)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    rows = [
        Prediction(id=str(i), text="t", gold="ab"[i % 2], predicted="ab"[(i + (i > 50)) % 2]) for i in range(60)
    ] + [Prediction(id="x", text="t", gold="[red]\x1b[31mlabel", predicted="a")]
    write_predictions(tmp_path / "predictions.test.jsonl", rows)
    split = judge_split(rows, {"majority": rows}, kind="text_classification", replicates=100)
    facts = RunFacts(task="text_classification", name="demo [bold]run")
    (tmp_path / "report.json").write_text(json.dumps(build_report({"test": split}, facts)), encoding="utf-8")
    return tmp_path


def test_the_verdict_comes_first_and_markup_in_names_stays_text(run: Path) -> None:
    result = CliRunner().invoke(app, [str(run)], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    assert result.output.startswith("NOT better than its best baseline.")
    assert "demo [bold]run on test, 61 rows" in result.output
    assert "[red]␛[31mlabel" in result.output and "\x1b[31ml" not in result.output
    assert "report.html" in result.output


def test_json_is_the_report(run: Path) -> None:
    result = CliRunner().invoke(app, [str(run), "--json"])
    assert json.loads(result.output) == json.loads((run / "report.json").read_text(encoding="utf-8"))


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, [str(tmp_path)])
    assert isinstance(result.exception, MissingInputError)


def test_neither_torch_nor_transformers_nor_sklearn_is_imported(run: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tunesmith.cli.report import report; "
        f"report(Path({str(run)!r}), as_json=True, open_page=False); "
        "bad = {'torch', 'transformers', 'sklearn'} & set(sys.modules); sys.exit(f'imported {bad}' if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
