"""One tracker at work, seen from the run: a process that is told what happens and that is never waited for.

Why a process and not a thread: nothing that a library does in it can reach the run. It may crash, exit, hang in a
native call, or block when the interpreter ends (an upload that does not come through); a process can be ended from
outside, a thread cannot. It also takes no time from the steps, and it outlives a run that is killed for as long as it
takes to close the tracked run.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from tunesmith.core.tracker import Tracker

BACKLOG = 16_000_000
"""Bytes that may wait for a tracker: some 50,000 steps. One further behind has stopped listening."""
PROGRAM = "tunesmith.run.tracker_process"


class Follower:
    """Tells one tracker. No method raises, and none waits."""

    def __init__(self, tracker: Tracker, opening: Mapping[str, Any]) -> None:
        self.kind = tracker.kind()
        self.wait = tracker.wait
        self._pending = bytearray()
        self._answer = bytearray()
        self._fault: str | None = None
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._process = _started()
        except OSError as error:
            self._fault = f"no process could be started for it: {error.strerror}"
        self.tell(opening)

    def tell(self, message: Mapping[str, Any]) -> None:
        """Send a message, or keep it until there is room in the pipe."""
        if self._process is None:
            return
        self._pending += json.dumps(message).encode() + b"\n"
        self._move(self._process)
        if len(self._pending) > BACKLOG:
            self._give_up("it is too far behind")

    def fault(self) -> str | None:
        """Why the tracker was given up, told once."""
        fault, self._fault = self._fault, None
        return fault

    def _move(self, process: subprocess.Popen[bytes]) -> None:
        """Write what the pipe takes, read what was answered."""
        assert process.stdin is not None and process.stdout is not None
        with suppress(OSError):  # full; or the process is gone, which shows below
            while self._pending:
                del self._pending[: os.write(process.stdin.fileno(), self._pending[:65536])]
        with suppress(BlockingIOError):
            while part := os.read(process.stdout.fileno(), 65536):
                self._answer += part
        if process.poll() is not None:
            self._ended(process)

    def _ended(self, process: subprocess.Popen[bytes]) -> None:
        with suppress(BlockingIOError):
            assert process.stdout is not None
            while part := os.read(process.stdout.fileno(), 65536):  # said between the last look and the end
                self._answer += part
        answer = self._answered()
        if "done" in answer:
            self._close(process)
        elif "fault" in answer:
            self._give_up(answer["fault"])
        elif process.returncode == -signal.SIGALRM:
            self._too_long()
        else:
            self._give_up(f"its process ended with {process.returncode}")

    def _answered(self) -> dict[str, Any]:
        try:
            answer = json.loads(self._answer)
        except ValueError:
            return {}
        return answer if isinstance(answer, dict) else {}

    def _too_long(self) -> None:
        self._give_up(f"it took longer than {self.wait:g} s (the key `wait`)")

    def _give_up(self, reason: str) -> None:
        self._fault = reason
        if self._process is not None:
            self._close(self._process)

    def _close(self, process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            with suppress(OSError):  # the group: a library may have started processes of its own
                os.killpg(process.pid, signal.SIGKILL)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
        self._process = None
        self._pending.clear()

    def busy(self, deadline: float) -> bool:
        """Whether the process is still at work; past the deadline (monotonic) it is ended."""
        if self._process is not None:
            self._move(self._process)
        if self._process is None or time.monotonic() < deadline:
            return self._process is not None
        if "done" in self._answered():  # all is written down, and only leaving takes so long
            self._close(self._process)
        else:
            self._too_long()
        return False


def finish(followers: Sequence[Follower], ending: Mapping[str, Any]) -> None:
    """Tell all how the run ended, and wait for them together, for each as long as its `wait` says."""
    begin = time.monotonic()
    for follower in followers:
        follower.tell({"ending": ending})
    while any([follower.busy(begin + follower.wait) for follower in followers]):  # each of them is looked at
        time.sleep(0.01)


def _started() -> subprocess.Popen[bytes]:
    """The process, in a session of its own: Ctrl-C is for the run, which tells it what that means.

    It finds what this process finds, and -P keeps the working directory out: trackers leave folders there that are
    called like their packages.
    """
    paths = os.pathsep.join(path for path in sys.path if path)
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": paths, "DO_NOT_TRACK": "1"},
    )
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            os.set_blocking(pipe.fileno(), False)
    return process
