"""A chart gets a few hundred points from a journal of any length or state."""

import json
from pathlib import Path

from tunesmith.judge.curves import POINTS, learning_curves


def write(path: Path, lines: list[object]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def test_long_runs_are_averaged_and_keep_their_mean(tmp_path: Path) -> None:
    count = 13_577
    lines = [{"event": "step", "step": i + 1, "loss": i % 10, "learning_rate": 1e-4} for i in range(count)]
    points = learning_curves(write(tmp_path / "j.jsonl", list(lines)))["steps"]
    assert POINTS / 2 <= len(points) <= 2 * POINTS + 1
    assert points[-1]["step"] == count
    assert abs(sum(p["loss"] for p in points) / len(points) - 4.5) < 0.1
    assert [p["step"] for p in points] == sorted(p["step"] for p in points)


def test_short_runs_keep_every_step_and_evaluations(tmp_path: Path) -> None:
    lines = [
        {"event": "started"},
        {"event": "step", "step": 1, "loss": 2.0},
        {"event": "evaluated", "step": 1, "split": "dev", "metrics": {"span_f1": 0.5, "note": "x"}},
        {"event": "step", "step": 2, "loss": None},
    ]
    found = learning_curves(write(tmp_path / "j.jsonl", list(lines)))
    assert found["steps"] == [{"step": 1, "loss": 2.0}, {"step": 2}]
    assert found["evaluations"] == [{"step": 1, "split": "dev", "metrics": {"span_f1": 0.5}}]


def test_a_line_cut_short_and_a_missing_journal_do_no_harm(tmp_path: Path) -> None:
    path = write(tmp_path / "j.jsonl", [{"event": "step", "step": 1, "loss": 1.0}, [1], "x"])
    with path.open("a", encoding="utf-8") as file:
        file.write('{"event": "step", "st')
    assert learning_curves(path)["steps"] == [{"step": 1, "loss": 1.0}]
    assert learning_curves(tmp_path / "none") == {"steps": [], "evaluations": []}


def test_a_bad_byte_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    path.write_bytes(b'{"event": "\xff\n{"event": "step", "step": 2, "loss": 1.0}\n')
    assert learning_curves(path)["steps"] == [{"step": 2, "loss": 1.0}]
