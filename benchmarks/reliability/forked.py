"""Children of a process that has imported everything: an attempt costs a fraction of a second."""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Child:
    """A forked process. What it prints goes to a file."""

    pid: int
    output: Path

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Its exit code, negative where a signal ended it."""
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def said(self) -> str:
        """What it printed, both streams."""
        return self.output.read_text(encoding="utf-8")

    def says(self, *parts: str) -> bool:
        """Whether all of these texts stand in what it printed, however its lines are broken."""
        said = "".join(self.said().split())
        return all("".join(part.split()) in said for part in parts)


def begin(work: Callable[[], int | None], output: Path) -> Child:
    """Start `work` in a child; what it returns is the exit code, None being 0."""
    pid = os.fork()
    if pid:
        return Child(pid, output)
    code: object = 70
    try:
        target = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        for stream in (1, 2):
            os.dup2(target, stream)
        code = work()
    except SystemExit as leaving:
        code = leaving.code
    except BaseException:
        traceback.print_exc()
    finally:  # whatever happens, the child never comes back into its parent's work
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(code or 0))


def done(work: Callable[[], int | None], output: Path) -> Child:
    """Run `work` in a child to its end.

    Raises:
        RuntimeError: it failed.
    """
    child = begin(work, output)
    if code := child.wait():
        raise RuntimeError(f"exit code {code}: {child.said()}")
    return child


def wait_until(true: Callable[[], bool], *, seconds: float = 60.0) -> None:
    """Wait for something that a child does.

    Raises:
        TimeoutError: it did not happen.
    """
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:.0f} seconds in vain")
        time.sleep(0.005)
