"""The door itself: what becomes of a bug, of Ctrl-C and of a reader who leaves, and what is printed of a stranger."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import typer

from tunesmith.cli import main as door
from tunesmith.cli.output import out
from tunesmith.cli.progress import PlainWatch
from tunesmith.run import explain
from tunesmith.run.events import Noted

GOOD = '[data]\ntrain = "rows.csv"\n'


@pytest.fixture
def tunesmith(monkeypatch, capsys, tmp_path):
    """Call the command line in this process and a folder of its own: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    Path("rows.csv").write_text("text,label\ngood,a\n")

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["tunesmith", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as leaving:
            door.main()
        return leaving.value.code, *capsys.readouterr()

    return call


def failing(error):
    def explained(key):
        raise error

    return explained


def test_a_bug_is_reported_whatever_is_in_its_message_and_the_call(tunesmith, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(explain, "explained", failing(ValueError("no [bold]caf\udce9[/bold] [/]")))
    code, _, err = tunesmith("config", "explain", "caf\udce9")
    assert code == 70
    assert r"ValueError: no [bold]caf\udce9[/bold] [/]" in err
    (report,) = tmp_path.glob("tunesmith-bug-*.txt")
    assert report.name in err
    assert r"config explain caf\udce9" in report.read_text(encoding="utf-8")
    assert "Traceback" in report.read_text(encoding="utf-8")


def test_a_bug_is_reported_where_no_file_can_be_written(tunesmith, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    monkeypatch.setattr(explain, "explained", failing(ValueError("odd")))
    code, _, err = tunesmith("config", "explain", "seed")
    assert code == 70
    assert "Traceback" in err and "details above" in err


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes")])
def test_a_machine_without_memory_is_no_bug(error, tunesmith, monkeypatch):
    monkeypatch.setattr(explain, "explained", failing(error))
    code, _, err = tunesmith("config", "explain", "seed")
    assert code == 71
    assert "memory ran out" in err and "fix" in err and "bug" not in err


def test_ctrl_c_is_130(tunesmith, monkeypatch):
    monkeypatch.setattr(explain, "explained", failing(KeyboardInterrupt()))
    assert tunesmith("config", "explain", "seed")[0] == 130


def test_a_call_without_meaning_is_2_with_its_usage(tunesmith):
    code, _, err = tunesmith("config", "explain", "--nonsense")
    assert code == 2
    assert "config explain [OPTIONS]" in err and "No such option: --nonsense" in err
    assert tunesmith("config", "explain")[0] == 2


def unread(*words, errors_too=False):
    """The exit code and standard error of a process whose reader has left before it says a word."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "tunesmith.cli.main", *map(str, words)]
    stderr = writer if errors_too else subprocess.PIPE
    try:
        done = subprocess.run(command, stdout=writer, stderr=stderr, text=True, timeout=60)
    finally:
        os.close(writer)
    return done.returncode, done.stderr


@pytest.mark.parametrize("words", ["--help", "config explain -h", "config show {}", "config show {} --json"])
def test_a_reader_who_leaves_is_no_error(words, tmp_path):
    file = tmp_path / "a.toml"
    file.write_text(GOOD)
    assert unread(*words.format(file).split()) == (0, "")


def test_an_error_keeps_its_code_where_nobody_reads_it(tmp_path):
    assert unread("config", "check", tmp_path / "none.toml", errors_too=True)[0] == 66
    assert unread("config", "check", tmp_path / "none.toml", "--json", errors_too=True)[0] == 66


def test_a_run_goes_on_when_whoever_read_along_leaves(monkeypatch):
    def left(*words, **style):
        raise BrokenPipeError

    monkeypatch.setattr(out, "print", left)
    with PlainWatch(silent=False) as watch:
        watch.show(Noted("one"))
        watch.show(Noted("two"))


def test_every_verb_has_json():
    def without(command, name):
        if isinstance(command, typer.core.TyperGroup):
            return [found for word, child in command.commands.items() for found in without(child, f"{name} {word}")]
        return [] if any("--json" in option.opts for option in command.params) else [name]

    assert without(typer.main.get_command(door.app), "tunesmith") == []


def test_explain_for_a_program(tunesmith):
    code, said, _ = tunesmith("config", "explain", "method.lora.targets", "--json")
    record = json.loads(said)
    assert code == 0
    assert record.keys() == {"key", "type", "default", "meaning"}
    assert record["key"] == "method.lora.targets" and "list[str]" in record["type"]


def test_brackets_are_printed_as_they_are(tunesmith):
    assert "list[str]" in tunesmith("config", "explain", "method.lora.targets")[1]
    Path("a[b]:bell:.toml").write_text(GOOD)
    assert tunesmith("config", "check", "a[b]:bell:.toml")[1].strip() == "ok a[b]:bell:.toml"


def test_a_file_name_that_is_not_utf_8_is_printed(tunesmith):
    Path("caf\udce9.toml").write_text(GOOD)
    assert tunesmith("config", "check", "caf\udce9.toml")[:2] == (0, "ok caf\\udce9.toml\n")
