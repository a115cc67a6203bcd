"""Start a run twice at once, kill the one that holds the lock, and ask for what would begin anew in silence."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from reliability.commands import Command, difference_of_runs
from reliability.figure import Finding, counted
from reliability.forked import begin, done, wait_until

PATIENCE = 2.0
"""Seconds until a second writer, a fresh process, must be gone"""


def measure(folder: Path, count: int) -> Finding:
    """`count` pairs of writers, and every way in which a run could begin anew."""
    command, whole = Command(folder), folder / "whole"
    done(lambda: command.train(whole), folder / "output")
    faults, times = [], []
    for trial in range(count):
        if fault := _two_writers(command, folder / f"trial-{trial}", times) or difference_of_runs(
            folder / f"trial-{trial}", whole
        ):
            faults.append(f"two writers {trial}: {fault}")
    scratch = [_no_run, _no_state, _every_state_damaged, _a_run_is_there]
    for number, way in enumerate(scratch):
        if fault := way(command, folder / f"scratch-{number}"):
            faults.append(f"{way.__name__.strip('_').replace('_', ' ')}: {fault}")
    return counted(count + len(scratch), faults, f", the second writer gone after {max(times):.1f} s at most")


def _two_writers(command: Command, run: Path, times: list[float]) -> str | None:
    """What is wrong when a second process writes into a run, and when the first is killed and leaves its lock."""
    first = begin(lambda: command.train(run), command.folder / "output")
    wait_until(lambda: command.steps(run) >= 8)
    first.send(signal.SIGSTOP)  # a tiny run would be over before a fresh process has imported anything
    words = [sys.executable, "-m", "tunesmith.cli.main", *command.words(run, "--resume")]
    begun = time.perf_counter()
    second = subprocess.run(words, capture_output=True, text=True, env=os.environ, check=False)
    times.append(time.perf_counter() - begun)
    first.send(signal.SIGKILL)
    first.wait()
    if second.returncode != 75 or f"pid {first.pid}" not in second.stderr:
        return f"exit code {second.returncode}: {second.stderr}"
    if times[-1] > PATIENCE:
        return f"the second writer took {times[-1]:.1f} s to go"
    done(lambda: command.train(run, "--resume"), command.folder / "output")
    return None


def _stopped(command: Command, run: Path) -> None:
    child = begin(lambda: command.train(run), command.folder / "output")
    wait_until(lambda: command.steps(run) >= 20)
    child.send(signal.SIGTERM)
    child.wait()


def _refused(command: Command, run: Path, code: int, name: str, *more: str) -> str | None:
    """What is wrong unless the command refuses and leaves the run as it was."""
    before = {path: path.read_bytes() for path in run.rglob("*.jsonl")}
    child = begin(lambda: command.train(run, *more), command.folder / "output")
    if child.wait() != code or name not in child.said():
        return f"it says {child.said()}"
    return None if before == {path: path.read_bytes() for path in run.rglob("*.jsonl")} else "the journal changed"


def _no_run(command: Command, run: Path) -> str | None:
    return _refused(command, run, 66, "TS-RUN-004", "--resume")


def _no_state(command: Command, run: Path) -> str | None:
    _stopped(command, run)
    shutil.rmtree(run / "checkpoints")
    return _refused(command, run, 66, "TS-RUN-008", "--resume")


def _every_state_damaged(command: Command, run: Path) -> str | None:
    _stopped(command, run)
    for file in run.glob("checkpoints/*/tensors.safetensors"):
        file.write_bytes(b"")
    return _refused(command, run, 65, "TS-CKPT-004", "--resume")


def _a_run_is_there(command: Command, run: Path) -> str | None:
    _stopped(command, run)
    return _refused(command, run, 73, "TS-RUN-005")
