"""A tracker that cannot be started, or that no longer listens, is a fault that is told once and nothing else."""

import sys
import time

import pytest

from tunesmith.core.rooms import TRACKERS
from tunesmith.run import follower
from tunesmith.run.follower import Follower, finish


def started() -> Follower:
    tracker = TRACKERS.make("console", key="trackers.0")
    return Follower(tracker, {"room": TRACKERS.package, "tracker": tracker.as_table(), "run": {}})


def test_a_process_that_cannot_be_started_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    made = started()
    made.tell({"event": "note"})
    finish([made], {"state": "finished"})
    assert "No such file" in (made.fault() or "")
    assert made.fault() is None


def test_one_that_no_longer_listens_is_given_up_without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower, "BACKLOG", 100_000)
    monkeypatch.setattr(follower, "PROGRAM", "asyncio")  # takes a while to begin to read
    made = started()
    begin = time.monotonic()
    said = []
    for _ in range(400):
        made.tell({"event": "note", "text": "x" * 1000})
        said += [fault for fault in [made.fault()] if fault]
    assert time.monotonic() - begin < 10
    assert said == ["it is too far behind"]
