"""A tracker at work as in a run: in a process of its own, told facts, read back afterwards with its own library."""

import os
import socket
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tunesmith.core.rooms import TRACKERS
from tunesmith.core.tracker import Ending, Record, TrackedRun
from tunesmith.run.follower import Follower, finish

FINISHED = Ending(
    state="finished",
    reason="better than its best baseline",
    scores={"test/span_f1": {"value": 0.8, "low": 0.7, "high": 0.9}, "test/exact": {"value": 0.5, "low": None}},
    cost={"seconds": 1.5, "device": "cpu"},
)
KILLED = Ending(state="interrupted", reason="SIGTERM at step 4")
WATCH = """
import os, socket, sys

def hook(name, arguments):
    asked = name == "socket.getaddrinfo" or name == "socket.connect" and arguments[0].family != socket.AF_UNIX
    if asked and os.environ.get("WATCHED"):
        with open(os.environ["WATCHED"], "a") as out:
            out.write(f"{name} {arguments}\\n")

sys.addaudithook(hook)
"""


@dataclass
class Told:
    """Tells a tracker about a run in `folder`, and says why it was given up, if it was."""

    folder: Path
    watched: Path
    asked: list[str] = field(default_factory=list)
    killed: Ending = field(default=KILLED)

    def __call__(
        self,
        table: Mapping[str, Any],
        records: Sequence[Record],
        *,
        ending: Ending = FINISHED,
        resumed: bool = False,
    ) -> str | None:
        tracker = TRACKERS.make({"wait": 60.0, **table}, key="trackers.0")
        run = TrackedRun(
            id="0123456789abcdef",
            name="demo",
            folder=self.folder,
            config={"seed": 0, "train": {"keep": 3 if resumed else 2, "length": None}, "regularizers": ["r_drop"]},
            backbone={"name": "starter:english", "fingerprint": "b" * 64},
            data={"train": "c" * 64},
            resumed=resumed,
        )
        opening = {"room": TRACKERS.package, "tracker": tracker.as_table()}
        follower = Follower(tracker, opening | {"run": asdict(run) | {"folder": str(self.folder)}})
        for record in records:
            follower.tell(record)
        finish([follower], asdict(ending))
        return follower.fault()

    @staticmethod
    def steps(first: int, last: int, *, lesson: str = "training") -> list[Record]:
        """Facts of some steps; the loss of step n is 1 / n."""
        made: list[Record] = []
        for step in range(first, last + 1):
            facts = {"epoch": step / 4, "loss": 1 / step, "term/r_drop": 0.5, "learning_rate": 1e-4}
            facts |= {"gradient_norm": 1.0, "tokens": 100, "seconds": 0.1, "tokens_per_second": 1000.0}
            made.append({"event": "step", "time": 1.7e9 + step, "lesson": lesson, "step": step, **facts})
        return made

    @staticmethod
    def started(step: int, *, lesson: str = "training") -> Record:
        return {"event": "started", "time": 1.7e9, "lesson": lesson, "step": step, "steps": 8, "device": "cpu"}

    @staticmethod
    def went_back(step: int) -> Record:
        facts = {"loss": 9.0, "usual": 0.5, "blame": "batch", "outcome": "rolled_back", "examples": "train:7, train:9"}
        return {"event": "spiked", "time": 1.7e9 + step, "lesson": "training", "step": step, **facts}

    @staticmethod
    def scored(step: int, score: float) -> Record:
        facts = {"metric": "span_f1", "score": score, "best": True, "epoch": 1.0}
        return {"event": "evaluated", "time": 1.7e9 + step, "lesson": "training", "step": step, **facts}

    def connections(self) -> list[str]:
        """Whatever the tracker, or a process that it started, tried to reach beyond this machine's own files."""
        return self.asked + (self.watched.read_text().splitlines() if self.watched.exists() else [])


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    """Python's own connections are seen by an audit hook in the tracker's process; those of a library's binary would go
    to a proxy that only listens."""
    customs = tmp_path / "customs"
    customs.mkdir()
    (customs / "sitecustomize.py").write_text(WATCH, encoding="utf-8")
    monkeypatch.setattr(sys, "path", [str(customs), *sys.path])
    folder = tmp_path / "runs" / "demo run"
    folder.mkdir(parents=True)
    made = Told(folder, tmp_path / "watched")
    monkeypatch.setenv("WATCHED", str(made.watched))
    with socket.create_server(("127.0.0.1", 0)) as trap:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{trap.getsockname()[1]}")
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        thread = threading.Thread(target=_listen, args=(trap, made.asked), daemon=True)
        thread.start()
        yield made
        trap.shutdown(socket.SHUT_RDWR)
        thread.join(timeout=5)


def _listen(trap: socket.socket, asked: list[str]) -> None:
    while True:
        try:
            caller, _ = trap.accept()
        except OSError:
            return
        with caller:
            asked.append(f"proxy {caller.recv(200)!r}")


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory in which a tracker must leave nothing."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert not os.listdir(folder)
    return folder
