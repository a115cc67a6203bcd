"""Who watches a run: its events pass through unchanged, and every tracker is told of them on the way."""

import importlib.util
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict

from tunesmith.core.errors import MissingExtraError, Place
from tunesmith.core.rooms import TRACKERS
from tunesmith.core.tracker import Ending, TrackedRun, Tracker
from tunesmith.run.events import Finished, Interrupted, Noted, Phase, RunEvent
from tunesmith.run.folder import RunFolder, read_json, write_json
from tunesmith.run.follower import Follower, finish
from tunesmith.run.prepared import Prepared
from tunesmith.run.records import ending_of, record_of

LESSONS = {"rehearsing": "silver", "training": "training"}
"""Whose loop runs in a phase."""


def require_trackers(trackers: Sequence[Tracker]) -> None:
    """Refuse a tracker whose library is not there, before anything is read.

    Raises:
        MissingExtraError: with the line that installs it.
    """
    for number, tracker in enumerate(trackers):
        for name in tracker.needs:
            if not _installed(name):
                raise MissingExtraError(
                    f"the tracker {tracker.kind()} needs {name}",
                    code="TS-RUN-025",
                    place=Place(key=f"trackers.{number}"),
                    fix=tracker.install,
                )


def tracked(events: Iterator[RunEvent], ready: Prepared, folder: RunFolder, *, resumed: bool) -> Iterator[RunEvent]:
    """The events of a run. A tracker that was given up is noted between them, once."""
    trackers = ready.config.trackers
    if not trackers:
        yield from events
        return
    run = asdict(_facts(ready, folder, resumed=resumed)) | {"folder": str(folder.path.resolve())}
    followers = [
        Follower(tracker, {"room": TRACKERS.package, "tracker": tracker.as_table(), "run": run}) for tracker in trackers
    ]
    lesson = LESSONS["training"]
    try:
        for event in events:
            if isinstance(event, Phase):
                lesson = LESSONS.get(event.name, lesson)
            if isinstance(event, Finished | Interrupted):
                finish(followers, asdict(ending_of(event)))
            else:
                record = record_of(event, lesson=lesson, metric=ready.task.main_metric)
                for follower in followers:
                    follower.tell(record)
            yield from _faults(followers)
            yield event
    except BaseException as error:
        finish(followers, asdict(_cut_off(error)))
        raise


def _faults(followers: Sequence[Follower]) -> Iterator[Noted]:
    for follower in followers:
        if reason := follower.fault():
            yield Noted(f"warning: the tracker {follower.kind} is off, and the run goes on without it: {reason}")


def _cut_off(error: BaseException) -> Ending:
    wished = isinstance(error, KeyboardInterrupt | GeneratorExit)
    return Ending(state="interrupted" if wished else "failed", reason=f"{type(error).__name__}: {error}")


def _facts(ready: Prepared, folder: RunFolder, *, resumed: bool) -> TrackedRun:
    return TrackedRun(
        id=_id(folder),
        name=folder.path.resolve().name,
        folder=folder.path,
        config=ready.config.result_table(),
        backbone={"name": ready.checkpoint.name, "fingerprint": ready.checkpoint.fingerprint},
        data=ready.data.record["fingerprint"],
        resumed=resumed,
    )


def _id(folder: RunFolder) -> str:
    """The id that the run began with; a new one where there is none, or it cannot be read."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return str(read_json(folder.tracking)["id"])
    made = uuid.uuid4().hex
    write_json(folder.tracking, {"id": made})
    return made


def _installed(name: str) -> bool:
    """Whether a module can be found. A folder of that name in the working directory is none: trackers leave such."""
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return False
    return found is not None and found.origin is not None
