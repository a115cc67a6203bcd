"""The process in which one tracker works: facts come in as lines of JSON, and what went wrong goes out as one.

    in    {"room": ..., "tracker": {...}, "run": {...}}   then a record a line, then {"ending": {...}}
    out   {"fault": "why it was given up"}                 or {"done": true}

Where the lines end without an ending, the process of the run was killed: the tracked run is closed as failed. Torch is
not imported here, and what a library warns of is not shown: nobody who trains a model can mend it.
"""

import json
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tunesmith.core.component import Room
from tunesmith.core.errors import TunesmithError
from tunesmith.core.tracker import Ending, TrackedRun, Tracker

LONGEST = 300
"""Characters of a reason."""
KILLED = Ending(state="failed", reason="the process of the run was killed")


def main() -> None:
    """Follow one run, from the first line of standard input to its end."""
    report = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no report
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the run hears them too, and says what comes of it
    os.nice(10)  # watching must not slow down what is watched
    warnings.simplefilter("ignore")
    try:
        _follow(json.loads(line) for line in sys.stdin.buffer)
        said: dict[str, object] = {"done": True}
    except BaseException as error:  # also what a library means by leaving: it ends here, and the run goes on
        said = {"fault": _reason(error)}
    report.write(f"{json.dumps(said)}\n")
    report.close()


def _follow(messages: Iterator[Mapping[str, Any]]) -> None:
    opening = next(messages)
    room = Room(opening["room"], Tracker)  # type: ignore[type-abstract]
    tracker = room.make(opening["tracker"], key="trackers")
    run = opening["run"]
    with _within(tracker.wait):
        tracking = tracker.begin(TrackedRun(**run | {"folder": Path(run["folder"])}))
    ending = KILLED
    for message in messages:
        if "ending" in message:
            ending = Ending(**message["ending"])
            break
        with _within(tracker.wait):
            tracking.note(message)
    signal.setitimer(signal.ITIMER_REAL, tracker.wait)  # and not switched off: what a library does on leaving counts
    tracking.finish(ending)


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    """End this process where the block takes longer; a call that hangs in a library hears nothing else."""
    signal.setitimer(signal.ITIMER_REAL, seconds)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)


def _reason(error: BaseException) -> str:
    said = " ".join(str(error).split())
    return said if isinstance(error, TunesmithError) else f"{type(error).__name__}: {said}"[:LONGEST]


if __name__ == "__main__":
    main()
