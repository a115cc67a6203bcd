"""A probe in a process of its own, seen from outside: begun, listened to, ended where it is no longer wanted."""

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from tunesmith.core import errors
from tunesmith.core.errors import MemoryLimitError, Place, TunesmithError
from tunesmith.run.probe import STEPS, Probed, Tell

PROGRAM: Final = "tunesmith.run.probe_process"
_WAIT: Final = 0.2
"""Seconds between two looks at the wish to stop"""

ShouldStop = Callable[[], str | None]


class CutShort(Exception):  # not an error: whoever asked knows why
    """A probe ended half-way, because it is asked to stop."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What was measured inside, and outside: seconds from the start of the process to its work, and to leave it."""

    found: Probed
    starting: float
    leaving: float


def probe(
    table: Mapping[str, Any], *, folder: Path, steps: int = STEPS, tell: Tell, should_stop: ShouldStop = lambda: None
) -> Probe:
    """Probe the run that a configuration describes, its paths relative to `folder`. Nothing of it stays on the disk.

    Raises:
        CutShort: `should_stop` gave a reason.
        MemoryLimitError: the system ended the process, or memory ran out in it.
        TunesmithError: what would stop the run itself.
    """
    with tempfile.TemporaryDirectory(prefix="tunesmith-plan-") as scratch:
        place, wish, noise = (Path(scratch) / name for name in ("run", "wish", "stderr"))
        place.mkdir()
        asked = {"table": table, "folder": str(folder), "scratch": str(place), "steps": steps}
        wish.write_text(json.dumps(asked, default=str), encoding="utf-8")
        begin = time.time()
        with wish.open("rb") as stdin, noise.open("wb") as stderr, _started(stdin, stderr) as process:
            try:
                said = _last_word(process, tell, should_stop)
                end = time.time()
                code = process.wait()
                leaving = time.time() - end
            finally:
                process.kill()
        if "probed" in said:
            return Probe(Probed.from_record(said["probed"]), said["began"] - begin, leaving)
        raise _failure(said, code, noise.read_text(encoding="utf-8", errors="replace"))


def _started(stdin: IO[bytes], stderr: IO[bytes]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", PROGRAM],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=stderr,
        start_new_session=True,  # Ctrl-C is ours to hear
    )


def _last_word(process: "subprocess.Popen[bytes]", tell: Tell, should_stop: ShouldStop) -> dict[str, Any]:
    """The last thing the process said; empty where it ended before."""
    for line in _lines(process, should_stop):
        said: dict[str, Any] = json.loads(line)
        if "doing" not in said:
            return said
        tell(said["doing"])
    return {}


def _lines(process: "subprocess.Popen[bytes]", should_stop: ShouldStop) -> Iterator[bytes]:
    assert process.stdout is not None
    pending = b""
    while True:
        if should_stop():
            raise CutShort
        if not select.select([process.stdout], [], [], _WAIT)[0]:
            continue
        part = os.read(process.stdout.fileno(), 65536)
        if not part:
            return
        *lines, pending = (pending + part).split(b"\n")
        yield from lines


def _failure(said: Mapping[str, Any], code: int, noise: str) -> Exception:
    """What ended the process, as an error to raise here."""
    if "error" in said:
        record = said["error"]
        kind: type[TunesmithError] = vars(errors)[said["kind"]]
        return kind(record["message"], code=record["error"], fix=record["fix"], place=Place(**record["place"]))
    if code == -signal.SIGKILL or said.get("ran_out"):  # the kernel kills where there is no memory left
        return MemoryLimitError(
            "memory ran out in the probe" if said else "the system ended the probe, as it does where memory runs out",
            code="TS-RUN-026",
            fix="free memory, or ask for less at once: a smaller train.batch_size, task.max_length or backbone.",
        )
    return RuntimeError(f"the probe ended with {code}: {noise.strip()[-2000:]}")
