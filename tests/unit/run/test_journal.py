import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from tunesmith.core.errors import StorageError
from tunesmith.run.journal import Journal, events
from tunesmith.tune.events import Spiked


def test_what_comes_after_a_saved_step_is_forgotten(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    for step in range(1, 6):
        journal.write("step", {"step": step})
    journal.rewind(3)
    assert [event["step"] for event in events(journal.file)] == [1, 2, 3]
    journal.write("step", {"step": 4})
    assert [event["step"] for event in events(journal.file)] == [1, 2, 3, 4]


def test_a_run_that_goes_back_writes_the_steps_between_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    for step in range(1, 6):
        journal.write("step", {"step": step})
    spiked = Spiked(step=3, loss=9.0, usual=0.5, examples=("a",), blame="weights", outcome="rolled_back")
    journal.note(spiked, metric="accuracy")
    assert [(event["event"], event["step"]) for event in events(journal.file)][2:] == [("step", 3), ("spiked", 3)]
    journal.note(replace(spiked, step=5, outcome="left_out"), metric="accuracy")
    assert [event["step"] for event in events(journal.file)] == [1, 2, 3, 3, 5]


def test_a_last_line_cut_short_is_left_out(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.write("step", {"step": 1})
    with journal.file.open("a", encoding="utf-8") as out:
        out.write('{"event": "st')
    assert [event["step"] for event in events(journal.file)] == [1]
    journal.rewind(1)
    assert [event["step"] for event in events(journal.file)] == [1]


@pytest.mark.parametrize("damage", [b'{"event": "\xff', b"3\n", b"[]\n"])
def test_damage_ends_the_journal_like_a_line_cut_short(tmp_path: Path, damage: bytes) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.write("step", {"step": 1})
    with journal.file.open("ab") as out:
        out.write(damage)
    assert [event["step"] for event in events(journal.file)] == [1]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device here")
def test_a_full_disk_is_an_error_of_storage() -> None:
    with pytest.raises(StorageError, match="the journal cannot be written") as caught:
        Journal(Path("/dev/full")).write("step", {"step": 1})
    assert caught.value.fix


def test_a_full_disk_while_rewinding_leaves_the_journal_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    for step in (1, 2):
        journal.write("step", {"step": step})

    def fails(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(StorageError, match="TS-RUN-018"):
        journal.rewind(1)
    assert [event["step"] for event in events(journal.file)] == [1, 2]
    assert [path.name for path in tmp_path.iterdir()] == ["journal.jsonl"]
