"""What every tracker promises: a run with it is the run without it, whatever it does and wherever the run stops."""

import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tunesmith.core.errors import MissingExtraError
from tunesmith.core.rooms import TRACKERS
from tunesmith.run.config import parsed
from tunesmith.run.events import Finished, Interrupted, Noted, RunEvent
from tunesmith.run.folder import opened
from tunesmith.run.train import run
from tunesmith.tune.events import Stepped

KINDS = TRACKERS.kinds
each_kind = pytest.mark.parametrize("kind", KINDS)
TEXTS = [pair for n in range(20) for pair in ((f"my card {n} is lost", "card"), (f"hello number {n}", "greeting"))]
PLAIN_REPORT = ("headline", "splits", "data", "config", "task", "best_baseline")

MISBEHAVING = '''
"""A tracker that does {what} in `{where}`."""

import ctypes, os, sys, time

from tunesmith.core.tracker import Tracker, Tracking


def act():
    {code}


class Misbehaving(Tracker):
    """It breaks."""

    def begin(self, run):
        """Open."""
        if "{where}" == "begin":
            act()
        return Session()


class Session(Tracking):
    """It breaks later."""

    def note(self, record):
        """Take."""
        if "{where}" == "note" and record["event"] == "step":
            act()

    def finish(self, ending):
        """Close."""
        if "{where}" == "finish":
            act()
'''
WAYS = {
    "raising": (
        'raise RuntimeError("the disk of the tracker is full")',
        "RuntimeError: the disk of the tracker is full",
    ),
    "leaving": ("sys.exit(3)", "SystemExit: 3"),
    "dying": ("os._exit(3)", "its process ended with 3"),
    "hanging": ("time.sleep(3600)", "longer than 1.5 s"),
    "hanging_native": ("ctypes.PyDLL(None).sleep(3600)", "longer than 1.5 s"),
    "noisy": ('print("not a report", flush=True); raise ValueError("x")', "ValueError: x"),
}


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Kinds of another package, found by entry points: each way to misbehave in each call."""
    package = tmp_path / "site" / "misbehaving"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    entries = []
    for what, (code, _) in WAYS.items():
        for where in ("begin", "note", "finish"):
            name = f"{what}_in_{where}"
            (package / f"{name}.py").write_text(MISBEHAVING.format(what=what, where=where, code=code))
            entries.append(f"{name} = misbehaving.{name}")
    metadata = tmp_path / "site" / "misbehaving-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: misbehaving\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("\n".join(["[tunesmith.run.trackers]", *entries, ""]))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    known = {name: vars(TRACKERS).pop(name, None) for name in ("kinds", "_foreign")}
    yield
    for name, value in known.items():
        vars(TRACKERS).pop(name, None)
        if value is not None:
            vars(TRACKERS)[name] = value
    for name in [name for name in sys.modules if name.startswith("misbehaving")]:
        del sys.modules[name]


def written(folder: Path, backbone: Path) -> dict[str, Any]:
    """The configuration of a run of seconds, with its rows in `folder`."""
    rows = [json.dumps({"text": text, "label": label}) for text, label in TEXTS]
    (folder / "rows.jsonl").write_text("\n".join(rows))
    return {
        "backbone": str(backbone),
        "data": {"train": "rows.jsonl"},
        "task": {"kind": "text_classification"},
        "train": {"length": "4 epochs", "learning_rate": 1e-4, "precision": "fp32", "threads": 1},
    }


@pytest.fixture
def table(tmp_path: Path, tiny_bert_folder: Path) -> dict[str, Any]:
    """A run of seconds."""
    return written(tmp_path, tiny_bert_folder)


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory, tiny_bert_folder: Path) -> Any:
    """What the run without a tracker comes to."""
    folder = tmp_path_factory.mktemp("straight")
    made(folder / "run", written(folder, tiny_bert_folder))
    return result(folder / "run")


def made(folder: Path, table: dict[str, Any], *, stop_after: int | None = None, resume: bool = False) -> list[RunEvent]:
    """The events of a run into `folder`, stopped after so many steps."""
    events: list[RunEvent] = []

    def should_stop() -> str | None:
        steps = sum(isinstance(event, Stepped) for event in events)
        return "SIGTERM" if stop_after is not None and steps >= stop_after else None

    config = parsed(table, folder=folder.parent)
    for event in run(config, opened(folder, resume=resume), origins={}, resume=resume, should_stop=should_stop):
        events.append(event)
    return events


def result(folder: Path) -> tuple[bytes, dict[str, Any], list[float]]:
    """What a run came to: weights, the report without times and names, losses."""
    report = json.loads((folder / "report.json").read_text())
    steps = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    losses = [step["loss"] for step in steps if step["event"] == "step"]
    weights = (folder / "bundle" / "model.safetensors").read_bytes()
    return weights, {key: report[key] for key in PLAIN_REPORT}, losses


def warnings(events: list[RunEvent]) -> list[str]:
    return [event.text for event in events if isinstance(event, Noted) and "the tracker" in event.text]


@each_kind
def test_a_run_with_it_equals_the_run_without_it(
    kind: str, tmp_path: Path, table: dict[str, Any], straight: Any, need: Callable[[str], None]
) -> None:
    need(kind)
    events = made(tmp_path / "with", table | {"trackers": [kind]})
    assert isinstance(events[-1], Finished) and not warnings(events)
    assert result(tmp_path / "with") == straight
    assert "tracker" not in (tmp_path / "with" / "bundle" / "bundle.json").read_text()


@each_kind
def test_a_stopped_run_goes_on_as_the_same_tracked_run(
    kind: str, tmp_path: Path, table: dict[str, Any], straight: Any, need: Callable[[str], None]
) -> None:
    need(kind)
    table |= {"trackers": [{"kind": kind}]}
    stopped = made(tmp_path / "run", table, stop_after=3)
    assert isinstance(stopped[-1], Interrupted) and not warnings(stopped)
    first = json.loads((tmp_path / "run" / "tracking.json").read_text())
    assert not warnings(made(tmp_path / "run", table, resume=True))
    assert json.loads((tmp_path / "run" / "tracking.json").read_text()) == first
    assert result(tmp_path / "run") == straight


def test_trackers_may_change_when_a_run_goes_on(tmp_path: Path, table: dict[str, Any]) -> None:
    made(tmp_path / "run", table, stop_after=3)
    made(tmp_path / "run", table | {"trackers": ["json_lines"]}, stop_after=2, resume=True)
    events = made(tmp_path / "run", table | {"trackers": [{"kind": "json_lines", "file": "b.jsonl"}]}, resume=True)
    assert isinstance(events[-1], Finished)
    for name, steps in (("trackers.jsonl", [4, 5]), ("b.jsonl", [6, 7, 8])):
        lines = map(json.loads, (tmp_path / "run" / name).read_text().splitlines())
        assert [line["step"] for line in lines if line["event"] == "step"] == steps


@pytest.mark.usefixtures("foreign")
@pytest.mark.parametrize("where", ["begin", "note", "finish"])
@pytest.mark.parametrize("what", WAYS)
def test_a_tracker_that_misbehaves_is_switched_off_and_said_once(
    what: str, where: str, tmp_path: Path, table: dict[str, Any], straight: Any
) -> None:
    bad = {"kind": f"{what}_in_{where}", "wait": 1.5 if "hanging" in what else 30.0}
    begin = time.monotonic()
    events = made(tmp_path / "with", table | {"trackers": [bad, "json_lines"]})
    assert time.monotonic() - begin < 30
    (said,) = warnings(events)
    assert f"the tracker {what}_in_{where} is off" in said and WAYS[what][1] in said
    assert isinstance(events[-1], Finished)
    assert result(tmp_path / "with") == straight
    last = json.loads((tmp_path / "with" / "trackers.jsonl").read_text().splitlines()[-1])
    assert last["state"] == "finished", "its neighbour goes on"


def test_a_run_that_fails_is_closed_as_failed(tmp_path: Path, table: dict[str, Any]) -> None:
    config = parsed(table | {"trackers": ["json_lines"]}, folder=tmp_path)
    events = run(config, opened(tmp_path / "run", resume=False), origins={})
    for event in events:
        if isinstance(event, Stepped):
            break
    with pytest.raises(RuntimeError):
        events.throw(RuntimeError("out of memory"))  # type: ignore[attr-defined]
    last = json.loads((tmp_path / "run" / "trackers.jsonl").read_text().splitlines()[-1])
    assert (last["state"], last["reason"]) == ("failed", "RuntimeError: out of memory")


def test_a_run_that_is_killed_is_closed_as_failed(tmp_path: Path, table: dict[str, Any]) -> None:
    code = """
import json, os, signal, sys
from pathlib import Path
from tunesmith.run.config import parsed
from tunesmith.run.folder import opened
from tunesmith.run.train import run
from tunesmith.tune.events import Stepped

folder = Path(sys.argv[1])
config = parsed(json.loads(sys.argv[2]), folder=folder)
for event in run(config, opened(folder / "run", resume=False), origins={}):
    if isinstance(event, Stepped) and event.step == 3:
        os.kill(os.getpid(), signal.SIGKILL)
"""
    table |= {"trackers": ["json_lines"]}
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path), json.dumps(table)], stderr=subprocess.DEVNULL)
    assert killed.returncode == -9
    file = tmp_path / "run" / "trackers.jsonl"
    for _ in range(600):
        lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        if lines and lines[-1]["event"] == "ended":
            break
        time.sleep(0.05)
    assert (lines[-1]["state"], lines[-1]["reason"]) == ("failed", "the process of the run was killed")
    assert [line["step"] for line in lines if line["event"] == "step"] == [1, 2, 3]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if TRACKERS.component(kind).needs])
def test_a_missing_library_is_refused_before_anything_is_read(
    kind: str, tmp_path: Path, table: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = TRACKERS.component(kind).needs[0]
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=name) as caught:
        made(tmp_path / "run", table | {"trackers": ["console", kind]})
    assert caught.value.exit_code == 69 and caught.value.fix == 'pip install "tunesmith[track]"'
    assert caught.value.place is not None and caught.value.place.key == "trackers.1"
    assert [item.name for item in (tmp_path / "run").iterdir()] == [".lock"], "and may be started again there"


def test_a_folder_of_that_name_is_no_library(
    tmp_path: Path, table: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = [entry for entry in sys.path if not (Path(entry) / "wandb").is_dir()]
    (tmp_path / "wandb").mkdir()
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *elsewhere])
    with pytest.raises(MissingExtraError):
        made(tmp_path / "run", table | {"trackers": ["wandb"]})


def test_the_process_of_the_run_imports_no_library_of_a_tracker(tmp_path: Path, table: dict[str, Any]) -> None:
    code = """
import json, sys
from pathlib import Path
from tunesmith.run.config import parsed
from tunesmith.run.folder import opened
from tunesmith.run.train import run

folder = Path(sys.argv[1])
list(run(parsed(json.loads(sys.argv[2]), folder=folder), opened(folder / "run", resume=False), origins={}))
print(json.dumps(sorted(sys.modules)))
"""
    own = [kind for kind in KINDS if all(map(importlib.util.find_spec, TRACKERS.component(kind).needs))]
    for number, trackers in enumerate(([], own)):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "rows.jsonl").write_bytes((tmp_path / "rows.jsonl").read_bytes())
        words = [sys.executable, "-c", code, str(folder), json.dumps(table | {"trackers": trackers})]
        done = subprocess.run(words, capture_output=True, text=True, check=True, env=dict(os.environ))
        assert not {"wandb", "mlflow", "tensorboard", "sqlalchemy"} & set(json.loads(done.stdout))
