"""A program of ours in a process of its own: it is given one JSON object, and says JSON objects, a line each.

So its peak memory is its own, and whatever ends it ends nobody else.
"""

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from tunesmith.core import errors
from tunesmith.core.errors import MemoryLimitError, Place, TunesmithError
from tunesmith.core.memory import ran_out

_WAIT: Final = 0.2
"""Seconds between two looks elsewhere while the process is silent"""


class Child:
    """The process, from outside."""

    def __init__(self, process: "subprocess.Popen[bytes]", noise: Path) -> None:
        self._process = process
        self._noise = noise

    def said(self, look: Callable[[], None]) -> Iterator[dict[str, Any]]:
        """What it says, until it ends; `look` is called a few times a second, and may raise."""
        assert self._process.stdout is not None
        pending = b""
        while True:
            look()
            if not select.select([self._process.stdout], [], [], _WAIT)[0]:
                continue
            part = os.read(self._process.stdout.fileno(), 65536)
            if not part:
                return
            *lines, pending = (pending + part).split(b"\n")
            yield from map(json.loads, lines)

    def wait(self) -> int:
        """Its exit code."""
        return self._process.wait()

    def ask_to_stop(self) -> None:
        """SIGTERM."""
        self._process.terminate()

    def failure(self, last: Mapping[str, Any], what: str) -> Exception:
        """What ended it, as an error to raise here; `last` is the last thing it said, empty for nothing."""
        code = self.wait()
        if "error" in last:
            record = last["error"]
            kind: type[TunesmithError] = vars(errors)[last["kind"]]
            return kind(record["message"], code=record["error"], fix=record["fix"], place=Place(**record["place"]))
        if code == -signal.SIGKILL or last.get("ran_out"):  # the kernel kills where there is no memory left
            said = "memory ran out in" if last.get("ran_out") else "the system ended"
            return MemoryLimitError(
                f"{said} {what}{'' if last.get('ran_out') else ', as it does where memory runs out'}",
                code="TS-RUN-026",
                fix="free memory, or ask for less at once: a smaller train.batch_size, task.max_length or backbone.",
            )
        noise = self._noise.read_text(encoding="utf-8", errors="replace")
        return RuntimeError(f"{what} ended with {code}: {noise.strip()[-2000:]}")


@contextmanager
def child(program: str, wish: Mapping[str, Any]) -> Iterator[Child]:
    """Run a module with `wish` on its standard input; it is ended with the block, if it has not ended before."""
    with tempfile.TemporaryDirectory(prefix="tunesmith-") as scratch:
        given, noise = Path(scratch) / "wish", Path(scratch) / "stderr"
        given.write_text(json.dumps(wish, default=str), encoding="utf-8")
        with given.open("rb") as stdin, noise.open("wb") as stderr, _started(program, stdin, stderr) as process:
            try:
                yield Child(process, noise)
            finally:
                process.kill()


def _started(program: str, stdin: IO[bytes], stderr: IO[bytes]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", program],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=stderr,
        start_new_session=True,  # Ctrl-C is ours to hear
    )


def serve(work: Callable[[dict[str, Any], Callable[[Mapping[str, Any]], None]], Mapping[str, Any]]) -> None:
    """The other side: call `work` with the wish and a way to say something; its result is the last thing said.

    What is wrong is said as `{"error": ..., "kind": class}`, and memory that ran out as `{"ran_out": true}`.
    """
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no answer

    def say(something: Mapping[str, Any]) -> None:
        out.write(f"{json.dumps(something)}\n")

    try:
        last = work(json.load(sys.stdin), say)
    except TunesmithError as error:
        last = {"error": error.as_record(), "kind": type(error).__name__}
    except (MemoryError, RuntimeError) as error:
        if not ran_out(error):
            raise
        last = {"ran_out": True}
    say(last)
