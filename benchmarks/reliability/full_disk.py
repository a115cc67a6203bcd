"""Let the disk fill up while a state is written, then go on when there is space again.

Half of the runs meet a limit of the kernel on the size of a file, half a disk with so many bytes left; one command line
run goes through the same. The places lie anywhere between the first byte and the last.
"""

import errno
import os
import random
import resource
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

from reliability.commands import Command, difference_of_runs
from reliability.figure import Finding, counted
from reliability.forked import Child, begin, done, wait_until
from reliability.tiny_run import KINDS, STEPS, TinyRun, difference, ended, left_alone
from tunesmith.core.errors import StorageError
from tunesmith.tune.checkpoint import newest
from tunesmith.tune.events import Saved


def measure(folder: Path, count: int) -> Finding:
    """`count` runs whose disk fills up, one of them a command."""
    alone = left_alone(folder, count)
    draw = random.Random(0)
    faults = []
    for trial in range(count - 1):
        kind = KINDS[trial // 2 % len(alone)]
        run, place = TinyRun(*kind), folder / f"trial-{trial}"
        size = (newest(folder / "-".join(kind) / "checkpoints").folder / "tensors.safetensors").stat().st_size
        if trial % 2:
            bytes_left = draw.randrange(size)
            full = partial(leave, bytes_left)
        else:
            bytes_left = draw.randrange(size // 2, size)
            full = partial(limit_files, bytes_left)
        fault = _fault(run, place, full, after=draw.randrange(2, STEPS - 4))
        if not fault:
            done(lambda run=run, place=place: run.finish(place), folder / "output")
            fault = difference(ended(place), alone[kind])
        if fault:
            faults.append(f"{place.name}, {bytes_left} bytes: {fault}")
    if fault := _command_fault(folder / "command"):
        faults.append(f"command: {fault}")
    return counted(count, faults)


def limit_files(limit: int) -> None:
    """From now on no file of this process grows beyond `limit` bytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))


def leave(left: int) -> None:
    """From now on this process's saver can write `left` bytes, the last write cut short as a disk does it."""
    real, space = os.write, [left]

    def write(handle: int, piece: bytes) -> int:
        if not space[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = real(handle, piece[: space[0]])
        space[0] -= written
        return written

    os.write = write


def _fault(run: TinyRun, place: Path, full: Callable[[], None], *, after: int) -> str | None:
    """What a run does wrong when its disk is full from the first save after a step on; None where all is well."""

    def work() -> int:
        try:
            for event in run.events(run.model(), place):
                if isinstance(event, Saved) and event.step >= after:
                    full()
        except StorageError as error:
            print(error)
            return error.exit_code
        return 0

    child = begin(work, place.with_name("output"))
    if (code := child.wait()) != 74:
        return f"exit code {code}: {child.said()}"
    return _said_wrong(child, place) or _state_wrong(place / "checkpoints", after)


def _said_wrong(child: Child, place: Path) -> str | None:
    right = child.says(f"{place / 'checkpoints'}/", "the disk is full", "bytes are needed")
    return None if right else f"it says {child.said()}"


def _state_wrong(checkpoints: Path, after: int) -> str | None:
    state = newest(checkpoints)
    if state is None or state.skipped or state.step < after:
        return f"the state before is not whole: {state}"
    rubbish = [path.name for path in checkpoints.iterdir() if ".tmp-" in path.name or ".old-" in path.name]
    return f"left behind: {rubbish}" if rubbish else None


def _command_fault(folder: Path) -> str | None:
    """The same of `tunesmith train`: stopped, gone on with on a full disk, gone on with."""
    command = Command(folder)
    whole, run = folder / "whole", folder / "run"
    done(lambda: command.train(whole), folder / "output")
    child = begin(lambda: command.train(run), folder / "output")
    wait_until(lambda: command.steps(run) >= 20)
    child.send(signal.SIGTERM)
    child.wait()
    before = newest(run / "checkpoints")
    limit = (before.folder / "tensors.safetensors").stat().st_size - 1

    def work() -> None:
        limit_files(limit)
        command.train(run, "--resume")

    child = begin(work, folder / "output")
    if (code := child.wait()) != 74:
        return f"exit code {code}: {child.said()}"
    if fault := _said_wrong(child, run) or _state_wrong(run / "checkpoints", before.step):
        return fault
    done(lambda: command.train(run, "--resume"), folder / "output")
    return difference_of_runs(run, whole)
