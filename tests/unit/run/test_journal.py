from pathlib import Path

from tunesmith.run.journal import Journal, events


def test_what_comes_after_a_saved_step_is_forgotten(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    for step in range(1, 6):
        journal.write("step", {"step": step})
    journal.rewind(3)
    assert [event["step"] for event in events(journal.file)] == [1, 2, 3]
    journal.write("step", {"step": 4})
    assert [event["step"] for event in events(journal.file)] == [1, 2, 3, 4]


def test_a_last_line_cut_short_is_left_out(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.write("step", {"step": 1})
    with journal.file.open("a", encoding="utf-8") as out:
        out.write('{"event": "st')
    assert [event["step"] for event in events(journal.file)] == [1]
    journal.rewind(1)
    assert [event["step"] for event in events(journal.file)] == [1]
