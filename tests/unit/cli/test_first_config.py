"""Whatever `init` writes, `config check` reads; what a person gave is never left out."""

import json
import tomllib
from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from tunesmith.cli import config
from tunesmith.cli.first_config import FirstLook, config_text
from tunesmith.cli.init import init
from tunesmith.core.errors import CannotCreateError, ConfigError
from tunesmith.prepare.formats.csv import Csv
from tunesmith.prepare.reading import Finding

app = typer.Typer()
app.command("init")(init)
app.add_typer(config.app, name="config")

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words):
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def first_look(**changes):
    finding = Finding(Path("a.csv"), Csv(), "text_classification", ())
    facts = {"chinese": False, "accepted": 1, "rejected": {}, "labels": {}, "given": {}}
    return FirstLook(**{"files": {"train": Path("a.csv")}, "finding": finding} | facts | changes)


@pytest.mark.parametrize(
    "odd", ["c\u0007", "d\u007f", "e\u0085f", "g\u2028h", "i\tj\nk\rl", 'm"n\\o', "# p", "q\x1b[31m"]
)
def test_what_init_writes_config_check_reads(odd, place):
    rows = [json.dumps({f"text{odd}": f"this is message {i}", f"label{odd}": f"{odd}{i % 2}"}) for i in range(20)]
    (place / "a.jsonl").write_text("\n".join(rows))
    said = run("init", "a.jsonl", "--set", f"text=text{odd}", "--set", f"label=label{odd}")
    assert "ok" in run("config", "check", "a.toml")
    made = tomllib.loads((place / "a.toml").read_text(encoding="utf-8"))["data"]
    assert (made["text"], made["label"]) == (f"text{odd}", f"label{odd}")
    assert "\x1b" not in said, "nothing in the data drives a terminal"


@given(TEXTS, st.lists(TEXTS, max_size=4), TEXTS)
def test_any_label_and_any_option_is_read_back(label, names, out):
    text = config_text(first_look(labels={label: 1}, given={"label": label, "text": names}), Path(f"x{out}"))
    made = tomllib.loads(text)["data"]
    assert (made["label"], made["text"]) == (label, names)


def test_what_a_person_gave_is_written_whatever_the_count(place):
    for name in ("train", "dev", "test"):
        rows = "".join(f"this is message {i};good,bad;{i};{i};{i};1.0\n" for i in range(20))
        (place / f"{name}.csv").write_text(f"words;mood;who;group;day;heavy\n{rows};;;;;\n")
    options = {"format": "csv", "delimiter": ";", "encoding": "utf-8", "text": "words", "label": "mood"}
    options |= {"id": "who", "group": "group", "time": "day", "weight": "heavy", "separator": ","}
    sets = [word for key, value in options.items() for word in ("--set", f"{key}={value}")]
    run("init", "train.csv", *sets)
    made = tomllib.loads((place / "train.toml").read_text())["data"]
    assert made | options == made
    assert made["skip_bad"] is True, "a remedy is not cut either"
    assert made.keys() == {"train", "dev", "test", "skip_bad", *options}, "guesses are"


def test_a_given_remedy_stands_once():
    look = first_look(rejected={"TS-DATA-024": 1, "TS-DATA-029": 1}, given={"overlaps": "refuse"})
    made = tomllib.loads(config_text(look, Path("a.toml")))["data"]
    assert (made["overlaps"], made["transitions"], made["skip_bad"]) == ("refuse", "repair", True)


def test_a_given_split_is_the_one_that_is_trained_on(place):
    rows = "".join(f"this is message {i},{'ab'[i % 2]},{'uv'[i // 10]}\n" for i in range(20))
    (place / "a.csv").write_text(f"text,label,split\n{rows}")
    run("init", "a.csv", "--set", "split=v")
    assert tomllib.loads((place / "a.toml").read_text())["data"]["train"] == "a.csv#v"


def test_a_name_that_is_not_utf_8_is_refused(place):
    (place / "caf\udce9.jsonl").write_text('{"text": "good", "label": "a"}\n' * 4)
    with pytest.raises(CannotCreateError, match="not UTF-8") as caught:
        run("init", "caf\udce9.jsonl", "--out", "cafe.toml")
    assert caught.value.place.file == "caf\udce9.jsonl" and caught.value.fix
    assert not (place / "cafe.toml").exists()


def test_brackets_in_the_name_are_printed_as_they_are(place):
    (place / "a.jsonl").write_text('{"text": "good", "label": "a"}\n{"text": "bad", "label": "b"}\n' * 4)
    said = run("init", "a.jsonl", "--out", "c[d].toml")
    assert "wrote c[d].toml" in said
    assert "Next: tunesmith audit c[d].toml, then tunesmith train c[d].toml" in said


@pytest.mark.parametrize("out", [".", "folder"])
def test_a_folder_is_no_place_for_a_configuration(out, place):
    (place / "folder").mkdir()
    with pytest.raises(CannotCreateError, match="is a folder"):
        run("init", "never-looked-at.jsonl", "--out", out, "--force")


def test_data_is_a_table(place):
    with pytest.raises(ConfigError, match="must be a table") as caught:
        run("init", "a.jsonl", "--set", "data=3")
    assert str(caught.value.place) == "data" and "--set data.label" in caught.value.fix
