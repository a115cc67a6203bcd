"""Run the same command twice in fp32 and bf16, and go on with a run on another number of threads."""

import signal
from pathlib import Path

from reliability.commands import Command, difference_of_runs
from reliability.figure import Finding, counted
from reliability.forked import begin, done, wait_until


def measure(folder: Path, count: int) -> Finding:
    """`count` pairs of runs, and one run that goes on elsewhere."""
    command, faults = Command(folder), []
    for pair in range(count):
        precision = ("fp32", "bf16")[pair % 2]
        runs = [folder / f"{precision}-{pair}-{half}" for half in ("first", "second")]
        for run in runs:
            words = ("--set", f"train.precision={precision}", "--set", f"seed={pair // 2}")
            done(lambda run=run, words=words: command.train(run, *words), folder / "output")
        if fault := difference_of_runs(*runs):
            faults.append(f"{precision}: {fault}")
    if fault := _elsewhere(command, folder / "elsewhere"):
        faults.append(f"on other threads: {fault}")
    return counted(count + 1, faults)


def _elsewhere(command: Command, run: Path) -> str | None:
    """What is wrong when a run goes on with two threads instead of one; None where it says that bits will differ."""
    output = command.folder / "output"
    child = begin(lambda: command.train(run), output)
    wait_until(lambda: command.steps(run) >= 10)
    child.send(signal.SIGTERM)
    child.wait()
    before = command.steps(run)
    child = begin(lambda: command.train(run, "--resume", "--set", "train.threads=2"), output)
    wait_until(lambda: command.steps(run) > before)
    child.send(signal.SIGTERM)  # threads are slow where others use the machine, and it has said what it has to say
    child.wait()
    warned = child.says("the result will not be bitwise the same: threads 1 is now 2")
    return None if warned else f"it says {child.said()}"
