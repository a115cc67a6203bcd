"""A probe in a process of its own, seen from outside: begun, listened to, ended where it is no longer wanted."""

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tunesmith.run.child import child
from tunesmith.run.probe import STEPS, Probed, Tell

PROGRAM: Final = "tunesmith.run.probe_process"

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

    def look() -> None:
        if should_stop():
            raise CutShort

    last: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="tunesmith-plan-") as scratch:
        begin = time.time()
        wish = {"table": table, "folder": str(folder), "scratch": scratch, "steps": steps}
        with child(PROGRAM, wish) as process:
            for said in process.said(look):
                if "doing" in said:
                    tell(said["doing"])
                else:
                    last = said
                    break
            end = time.time()
            process.wait()
            leaving = time.time() - end
            if "probed" not in last:
                raise process.failure(last, "the probe")
    return Probe(Probed.from_record(last["probed"]), last["began"] - begin, leaving)
