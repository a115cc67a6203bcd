"""One flat object a line, whole lines only, and a file that may be shared."""

import json
import math
from pathlib import Path
from typing import Any

import pytest


def read(file: Path) -> list[dict[str, Any]]:
    text = file.read_text(encoding="utf-8")
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def losses(file: Path) -> list[tuple[int, float]]:
    return [(line["step"], line["loss"]) for line in read(file) if line["event"] == "step"]


def test_every_event_is_a_flat_line_in_the_run_folder(told: Any, elsewhere: Path) -> None:
    assert told({"kind": "json_lines"}, [told.started(0), *told.steps(1, 3), told.scored(3, 0.5)]) is None
    lines = read(told.folder / "trackers.jsonl")
    assert [line["event"] for line in lines] == ["begun", "started", "step", "step", "step", "evaluated", "ended"]
    assert all(not isinstance(value, dict | list) for line in lines for value in line.values())
    assert {line["run"] for line in lines} == {"demo"} and len({line["id"] for line in lines}) == 1
    assert lines[-1]["final/test/span_f1/low"] == 0.7 and lines[-1]["cost/device"] == "cpu"
    assert not told.connections() and not list(elsewhere.iterdir())


def test_a_resumed_run_writes_what_came_after_its_saved_step_again(told: Any) -> None:
    table = {"kind": "json_lines", "file": "../all.jsonl"}
    file = told.folder.parent / "all.jsonl"
    file.write_text(json.dumps({"run": "another", "id": "x", "event": "step", "lesson": "training", "step": 99}) + "\n")
    silver = [told.started(0, lesson="silver"), *told.steps(1, 9, lesson="silver")]
    assert told(table, [*silver, told.started(0), *told.steps(1, 6)], ending=told.killed) is None
    assert told(table, [told.started(4), *told.steps(5, 8)], resumed=True) is None
    own = [line for line in read(file) if line["event"] == "step"]
    assert own[0]["run"] == "another"
    assert [line["step"] for line in own[1:]] == [*range(1, 10), *range(1, 9)]


def test_steps_that_a_spike_undid_are_removed(told: Any) -> None:
    records = [told.started(0), *told.steps(1, 6), told.went_back(4), *told.steps(5, 7)]
    assert told({"kind": "json_lines"}, records) is None
    lines = read(told.folder / "trackers.jsonl")
    assert [line["step"] for line in lines if line["event"] == "step"] == list(range(1, 8))
    assert [line["examples"] for line in lines if line["event"] == "spiked"] == ["train:7, train:9"]


def test_a_line_cut_by_a_crash_is_removed_on_going_on(told: Any) -> None:
    file = told.folder / "trackers.jsonl"
    assert told({"kind": "json_lines"}, [told.started(0), *told.steps(1, 2)]) is None
    whole = file.read_bytes()
    file.write_bytes(whole + b'{"run": "demo", "ev')
    assert told({"kind": "json_lines"}, told.steps(3, 4), resumed=True) is None
    assert file.read_bytes().startswith(whole)
    assert [step for step, _ in losses(file)] == [1, 2, 3, 4]


def test_names_that_are_no_text_are_written_as_json(told: Any) -> None:
    note = {"event": "note", "time": 1.0, "text": "half a character: \udcff 退款"}
    assert told({"kind": "json_lines"}, [note]) is None
    assert "退款" in (told.folder / "trackers.jsonl").read_text(encoding="utf-8")
    assert read(told.folder / "trackers.jsonl")[1]["text"] == note["text"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device here")
def test_a_full_disk_is_the_reason_that_is_given(told: Any) -> None:
    fault = told({"kind": "json_lines", "file": "/dev/full"}, told.steps(1, 3))
    assert fault is not None and "No space left" in fault


def test_a_number_that_json_has_no_word_for_is_no_line(told: Any) -> None:
    fault = told({"kind": "json_lines"}, [told.steps(1, 1)[0] | {"loss": math.nan}])
    assert fault is not None and "ValueError" in fault  # records are finite: tests/unit/run/test_records.py
