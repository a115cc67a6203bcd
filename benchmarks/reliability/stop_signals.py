"""Send SIGTERM or Ctrl-C to `tunesmith train` at random moments; every other pair of runs is sent a second one as well.

The second signal comes while the disk hangs, so that the wish of the first one cannot be granted.
"""

import os
import random
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from reliability.commands import Command, difference_of_runs
from reliability.figure import Finding, counted
from reliability.forked import begin, done, wait_until
from tunesmith.run.journal import events

GRACE = 2.0
"""Seconds beyond the slowest step that a run may take to be gone"""
AT_ONCE = 0.5
"""Seconds that a run may take after the second signal"""
CODES = {signal.SIGTERM: 143, signal.SIGINT: 130}


@dataclass(frozen=True)
class Stop:
    """How a run ended."""

    code: int
    seconds: float
    """From the last signal to the end"""
    said: str


def measure(folder: Path, count: int) -> Finding:
    """Stop `count` runs and go on with them."""
    command, whole = Command(folder), folder / "whole"
    begun = time.perf_counter()
    done(lambda: command.train(whole), folder / "output")
    took = time.perf_counter() - begun
    slowest = max(event["seconds"] for event in events(whole / "journal.jsonl") if event["event"] == "step")
    draw, stops, faults = random.Random(0), [], []
    for trial in range(count):
        run, number, twice = folder / f"trial-{trial}", (signal.SIGTERM, signal.SIGINT)[trial % 2], trial % 4 >= 2
        stop = _stopped(command, run, number, draw.uniform(0, 0.7 * took), twice=twice)
        while stop.code == 0:  # it had finished before the signal came
            stop = _stopped(command, run, number, draw.uniform(0, 0.7 * took), twice=twice)
        stops.append(stop)
        fault = _fault(stop, CODES[number], AT_ONCE if twice else slowest + GRACE)
        if fault is None:
            done(lambda run=run: command.train(run, "--resume"), folder / "output")
            fault = difference_of_runs(run, whole)
        if fault:
            faults.append(f"{run.name}, {number.name}{' twice' if twice else ''}: {fault}")
    return counted(count, faults, f", the slowest gone after {max(stop.seconds for stop in stops):.2f} s")


def _fault(stop: Stop, code: int, patience: float) -> str | None:
    if stop.code != code or "Traceback" in stop.said:
        return f"exit code {stop.code}: {stop.said}"
    return f"it took {stop.seconds:.1f} s to stop" if stop.seconds > patience else None


def _stopped(command: Command, run: Path, number: signal.Signals, moment: float, *, twice: bool) -> Stop:
    """Start a run and send it a signal some seconds after its folder is filled."""
    shutil.rmtree(run, ignore_errors=True)
    hang = run.with_name(f"{run.name}-hangs")
    hang.unlink(missing_ok=True)

    def work() -> None:
        if twice:
            _hang_once_there_is(hang)
        command.train(run)

    child = begin(work, command.folder / "output")
    first = run / "checkpoints" / "step-00000007" if twice else run / "config.json"
    wait_until(first.exists)
    time.sleep(0.0 if twice else moment)
    if twice:
        hang.touch()
        child.send(number)
        time.sleep(0.2)
    begun = time.perf_counter()
    child.send(number)
    code = child.wait()
    return Stop(code, time.perf_counter() - begun, child.said())


def _hang_once_there_is(file: Path) -> None:
    """From then on the disk of this process never finishes a sync."""
    real = os.fsync

    def fsync(handle: int) -> None:
        if file.exists():
            time.sleep(600)
        real(handle)

    os.fsync = fsync
