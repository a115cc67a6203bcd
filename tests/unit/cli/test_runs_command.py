"""`tunesmith runs`: rows, one run, two runs; whatever is in a name, however narrow the terminal, without torch."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tunesmith.cli import main as door

DEEP = "deep/läufe [bold]"
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def tunesmith(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Call the command line in this process: exit code, standard output, standard error."""

    def call(*words: object, width: int = 200) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tunesmith", *map(str, words)])
        monkeypatch.setenv("COLUMNS", str(width))
        capsys.readouterr()
        with pytest.raises(SystemExit) as leaving:
            door.main()
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return int(leaving.value.code or 0), out, err

    return call


def test_a_row_each_and_what_all_share_once(runs: Path, tunesmith: Call) -> None:
    code, out, _ = tunesmith("runs", runs)
    assert code == 0
    assert out.startswith(f"2 runs in {runs}, task text_classification, backbone ")
    assert DEEP in out and "finished" in out and " MB" in out and "tokens/s" in out
    assert tunesmith("runs", "list", runs)[1] == out


@pytest.mark.parametrize("width", [10, 40, 80, 120])
def test_a_narrow_terminal_shows_fewer_columns(runs: Path, tunesmith: Call, width: int) -> None:
    for words in (("runs", runs), ("runs", "show", runs / "full"), ("runs", "diff", runs / "full", runs / DEEP)):
        code, _, err = tunesmith(*words, width=width)
        assert (code, err) == (0, "")
    assert ("memory" in tunesmith("runs", runs, width=width)[1]) == (width == 120)


def test_the_folder_is_runs_unless_named(runs: Path, tunesmith: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(runs.parent)
    assert "2 runs in runs" in tunesmith("runs")[1]
    record = json.loads(tunesmith("runs", "--sort", "name", "--json")[1])
    assert record["folder"] == "runs"
    assert [run["name"] for run in record["runs"]] == [DEEP, "full"]
    assert tunesmith("runs", "show", DEEP, "--json")[0] == 0


def test_no_folder_and_no_run_are_said(tmp_path: Path, tunesmith: Call, runs: Path) -> None:
    code, _, err = tunesmith("runs", tmp_path / "none")
    assert (code, "TS-RUN-024" in err) == (66, True)
    (tmp_path / "empty").mkdir()
    code, out, _ = tunesmith("runs", tmp_path / "empty")
    assert (code, out.startswith("no run in ")) == (0, True)
    assert json.loads(tunesmith("runs", tmp_path / "empty", "--json")[1])["runs"] == []
    assert "no run of task pair_matching" in tunesmith("runs", runs, "--task", "pair_matching")[1]
    assert tunesmith("runs", runs, "--sort", "size")[0] == 2
    code, _, err = tunesmith("runs", "show", tmp_path / "empty", "--json")
    assert (code, json.loads(err)["error"]) == (66, "TS-RUN-022")
    assert tunesmith("runs", "diff", runs / "full", tmp_path / "none")[0] == 66
    assert tunesmith("runs", "diff", runs / "full", runs / DEEP, "--split", "train")[0] == 2


def test_every_state_has_its_word(runs: Path, tunesmith: Call, cut_short: Callable[..., None]) -> None:
    cut_short(runs / "full", lines=9, half=True)
    (runs / DEEP / "report.json").write_text("{", encoding="utf-8")
    _, out, _ = tunesmith("runs", runs)
    assert "interrupted" in out and "broken" in out
    assert f"{DEEP}  report.json is damaged" in out
    _, out, _ = tunesmith("runs", "show", runs / "full")
    assert "interrupted" in out and "--resume" in out
    _, out, _ = tunesmith("runs", "diff", runs / "full", runs / DEEP)
    assert out.startswith("Not compared: A has no stored answers on test; it is interrupted.")


def test_nothing_in_a_name_drives_the_terminal(runs: Path, tunesmith: Call) -> None:
    name = "[red]x\x1b[31m:bell:"
    (runs / "full").rename(runs / name)
    for words in (("runs", runs), ("runs", "show", runs / name), ("runs", "diff", runs / name, runs / DEEP)):
        code, out, _ = tunesmith(*words)
        assert code == 0
        assert "[red]x␛[31m:bell:" in out and "\x1b" not in out


def test_a_name_that_is_not_utf_8_is_printed(runs: Path, tunesmith: Call) -> None:
    (runs / "full").rename(runs / "caf\udce9")
    assert "caf\\udce9" in tunesmith("runs", runs)[1]
    assert json.loads(tunesmith("runs", runs, "--json")[1])["runs"][1]["name"] == "caf\udce9"


def test_the_gpu_and_its_memory_are_told_where_a_run_used_one(runs: Path, tunesmith: Call) -> None:
    words = ("runs", "diff", runs / "full", runs / DEEP)
    assert "GPU" not in tunesmith(*words)[1] + tunesmith("runs", "show", runs / "full")[1]
    report = json.loads((runs / "full" / "report.json").read_text(encoding="utf-8"))
    report["environment"]["gpu"] = "H100"
    report["cost"]["peak_gpu_mb"] = 1234.5
    (runs / "full" / "report.json").write_text(json.dumps(report), encoding="utf-8")
    out = tunesmith("runs", "show", runs / "full")[1]
    assert "1,234 MB of the GPU" in out and "H100" in out
    assert "MB of the GPU at most" in tunesmith(*words)[1]


def test_one_run_in_full(runs: Path, tunesmith: Call) -> None:
    code, out, _ = tunesmith("runs", "show", runs / "full")
    assert code == 0
    report = json.loads((runs / "full" / "report.json").read_text(encoding="utf-8"))
    assert report["headline"] in out.replace("\n", " ")
    for told in (
        "train.learning_rate",
        "0.003",
        "flag",
        "taken from train",
        "tfidf_logistic",
        "accuracy on dev",
        "loss",
    ):
        assert told in out
    assert f"tunesmith serve {runs}/full/bundle" in out
    record = json.loads(tunesmith("runs", "show", runs / "full", "--json")[1])
    assert record["splits"]["test"]["metrics"] == report["splits"]["test"]["metrics"]
    assert record["headline"] == report["headline"]
    assert record["curve"]["evaluations"]


def test_two_runs_begin_with_a_sentence(runs: Path, tunesmith: Call) -> None:
    code, out, _ = tunesmith("runs", "diff", runs / "full", runs / DEEP)
    record = json.loads(tunesmith("runs", "diff", runs / "full", runs / DEEP, "--json")[1])
    assert code == 0
    assert out.startswith(record["sentence"])
    assert next(iter(record)) == "sentence"
    assert "method.kind" in out and "parameters that learn" in out and "the same rows, 96" in out
    assert record["scores"]["metrics"][0]["metric"] == "accuracy"


def test_neither_torch_nor_transformers_nor_sklearn_is_imported(runs: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tunesmith.cli.runs import listing, runs_diff, runs_show; "
        f"top = Path({str(runs)!r}); listing(top, order='began', task=None, as_json=False); "
        "runs_show.show(top / 'full', as_json=False); "
        f"runs_diff.diff(top / 'full', top / {DEEP!r}, split='test', as_json=False); "
        "bad = {'torch', 'transformers', 'sklearn'} & set(sys.modules); sys.exit(f'imported {bad}' if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
