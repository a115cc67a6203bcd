"""`tunesmith train --plan` at the command line: tables, one JSON object, refusals in words, nothing left behind."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tunesmith.cli import main as door
from tunesmith.cli.plan import show_fit
from tunesmith.run.plan import Limits, Plan, Remedy

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def tunesmith(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Call the command line in this process: exit code, standard output, standard error."""

    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tunesmith", *map(str, words)])
        monkeypatch.setenv("COLUMNS", "200")
        capsys.readouterr()
        with pytest.raises(SystemExit) as leaving:
            door.main()
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return int(leaving.value.code or 0), out, err

    return call


@pytest.fixture
def config(tmp_path: Path, tiny_bert_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration in the working directory with its rows."""
    rows = [{"text": f"{word} number {n}", "label": word} for n in range(40) for word in ("card", "hello")]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    file = tmp_path / "small.toml"
    train = '[train]\nlength = "2 epochs"\nprecision = "bf16"\nbatch_size = 4\ngradient_checkpointing = true\n'
    file.write_text(f'backbone = "{tiny_bert_folder}"\nmethod = "lora"\n[data]\ntrain = "rows.jsonl"\n{train}')
    monkeypatch.chdir(tmp_path)
    return file


def test_one_object_with_every_figure_and_what_was_tried(config: Path, tunesmith: Call) -> None:
    words = ("--json", "--memory", "1MB", "--set", "train.length='9 steps'", "--set", "method=full", "--set")
    code, out, err = tunesmith("train", config, "--plan", *words, "train.batch_size=1")
    assert (code, err) == (0, "")
    record = json.loads(out)
    said = record["forecast"]
    figures = (said["seconds"], said["memory_bytes"], *said["disk_bytes"].values())
    assert all(figure["low"] <= figure["value"] <= figure["high"] for figure in figures)
    assert said["lessons"][0]["steps"]["value"] == 9
    assert record["fits"] == "no" and record["limits"]["memory_bytes"] == 1_000_000
    (remedy,) = record["remedies"]
    assert remedy["set"] == ['method="lora"'] and remedy["fits"] == "no"
    assert 0 < remedy["forecast"]["memory_bytes"]["high"] < 2e9
    assert sorted(item.name for item in Path().iterdir()) == ["rows.jsonl", "small.toml"]


def test_what_does_not_fit_is_followed_by_what_was_tried(config: Path, tunesmith: Call) -> None:
    code, out, _ = tunesmith("train", config, "--plan", "--memory", "1MB", "--set", "train.batch_size=2")
    assert code == 0
    assert (
        "What the run will take" in out
        and "disk of the bundle" in out
        and "it does not fit into memory: 1 MB, as named" in out
    )
    assert (
        "train.batch_size=1" in out and "train.accumulate=2" in out and "nothing that was tried is sure to fit" in out
    )
    assert sorted(item.name for item in Path().iterdir()) == ["rows.jsonl", "small.toml"]


def test_what_fits_is_the_whole_command_to_type_next(capsys: pytest.CaptureFixture[str]) -> None:
    limits = Limits(memory=10**9, named=True, device_memory=None, disk=10**9)
    tried = (
        Remedy(settings=("train.batch_size=8",), forecast=None, fits="no"),
        Remedy(settings=("train.batch_size=8", 'method="lora"'), forecast=None, fits="yes"),
    )
    command = ["tunesmith", "train", "my data.toml", "--set", "seed=1"]
    show_fit(Plan(forecast=None, limits=limits, fits="no", remedies=tried, took=1.0), command)
    out = capsys.readouterr().out
    assert out.endswith("train 'my data.toml' --set seed=1 --set train.batch_size=8 --set 'method=\"lora\"'\n")
    assert "nothing that was tried" not in out


@pytest.mark.parametrize(
    "words, code, said",
    [
        (("--plan", "--memory", "much"), 78, "TS-CONF-060"),
        (("--memory", "2GB"), 2, "TS-CLI-004"),
        (("--plan", "--resume"), 2, "TS-CLI-004"),
        (("--plan", "--find-lr"), 2, "TS-CLI-004"),
        (("--plan", "--set", "train.lenght='1 epoch'"), 78, "train.lenght"),
    ],
)
def test_what_makes_no_sense_is_refused_at_once(
    config: Path, tunesmith: Call, words: tuple[str, ...], code: int, said: str
) -> None:
    left, out, err = tunesmith("train", config, *words)
    assert (left, out) == (code, "") and said in err and "fix" in err
