"""The command line as a person meets it: words in, exit code and two streams out."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tunesmith.cli import main as door

SAMPLES = Path(__file__).parents[2] / "samples"


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str


Command = Callable[..., Outcome]


@pytest.fixture
def tunesmith(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Call the command line in this process."""

    def call(*words: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["tunesmith", *map(str, words)])
        monkeypatch.setenv("COLUMNS", "200")
        capsys.readouterr()
        with pytest.raises(SystemExit) as leaving:
            door.main()
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return Outcome(int(leaving.value.code or 0), out, err)

    return call
