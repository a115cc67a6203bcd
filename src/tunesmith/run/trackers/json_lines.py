"""JSON lines: one flat object a line for each event, in a file of your choice.

    {"run": "demo", "id": "6f0c...", "event": "step", "time": 1760000000.1, "lesson": "training", "step": 12, ...}

The last line of a run is its ending: `state`, the scores under `final/test/span_f1` with `/low` and `/high`, the cost
under `cost/seconds`.

When to use it: a program of your own that draws or collects; one file for many runs, one after another.
Cost: one small write an event. A crash leaves whole lines and at most one cut at the end, which is removed on going on.
Relations: `journal.jsonl` of the run folder is there without it; it belongs to the run, and its objects are nested.
Going on: lines after the saved step are removed and written again, as in the journal; lines of other runs stay.
"""

import json
import os
from pathlib import Path

from tunesmith.core.atomic import replacing
from tunesmith.core.tracker import Ending, Record, TrackedRun, Tracker, Tracking, last_valid_step


class JsonLines(Tracker):
    """Appends an object a line."""

    file: str = "trackers.jsonl"
    """Where to; relative to the run folder."""

    def begin(self, run: TrackedRun) -> Tracking:
        """Make the file, or find its end.

        Raises:
            OSError: it cannot be written.
        """
        file = run.folder / Path(self.file).expanduser()
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.is_file():
            _mend(file)
        return _Appended(file, run)


class _Appended(Tracking):
    def __init__(self, file: Path, run: TrackedRun) -> None:
        self.file = file
        self.run = {"run": run.name, "id": run.id}
        prints = {f"data/{split}": value for split, value in run.data.items()}
        self.note({"event": "begun", "resumed": run.resumed, "backbone": run.backbone["name"], **prints})

    def note(self, record: Record) -> None:
        step = last_valid_step(record)
        if step is not None and self.file.is_file():
            _rewind(self.file, self.run["id"], record["lesson"], step)
        line = json.dumps(self.run | dict(record), ensure_ascii=False, allow_nan=False)
        with self.file.open("ab", buffering=0) as out:  # one call a line: a crash can cut the last one only
            out.write(f"{line}\n".encode("utf-8", "backslashreplace"))

    def finish(self, ending: Ending) -> None:
        cost = {f"cost/{name}": value for name, value in ending.cost.items()}
        self.note({"event": "ended", "state": ending.state, "reason": ending.reason, **ending.numbers, **cost})


def _mend(file: Path) -> None:
    """Cut off what a crash left of a last line."""
    with file.open("rb+") as content:
        end = content.seek(0, os.SEEK_END)
        while end:
            begin = max(0, end - 65536)
            content.seek(begin)
            place = content.read(end - begin).rfind(b"\n")
            if place >= 0:
                content.truncate(begin + place + 1)
                return
            end = begin
        content.truncate(0)


def _rewind(file: Path, run: str, lesson: object, step: int) -> None:
    """Remove what this run wrote of the lesson after a step."""

    def undone(line: bytes) -> bool:
        record = json.loads(line)
        own = record.get("id") == run and record.get("lesson") == lesson
        return bool(own and record.get("step", 0) > step)

    with file.open("rb") as lines:
        if not any(map(undone, lines)):
            return
        lines.seek(0)
        with replacing(file, "wb") as out:
            out.writelines(line for line in lines if not undone(line))
