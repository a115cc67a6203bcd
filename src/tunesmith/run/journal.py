"""What happened in a run, one JSON object a line. Charts, `tunesmith runs` and trackers read nothing else."""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tunesmith.core.atomic import replacing
from tunesmith.core.errors import Place, StorageError
from tunesmith.tune.events import Evaluated, Halved, Saved, Spiked, Started, Stepped, Stopped, TuneEvent


class Journal:
    """Appends events to `journal.jsonl`. Each line is written whole and flushed before the run goes on.

    Writing raises StorageError where the disk failed or is full.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    def write(self, event: str, facts: Mapping[str, Any]) -> None:
        """One line: the event, when it happened (seconds since the epoch) and its facts."""
        line = json.dumps({"event": event, "time": round(time.time(), 3), **facts}, ensure_ascii=False)
        try:
            with self.file.open("a", encoding="utf-8") as out:
                out.write(f"{line}\n")
        except OSError as error:
            raise _unwritten(self.file, error) from None

    def note(self, event: TuneEvent, *, metric: str) -> None:
        """One line for a fact of the loop. `metric` names the score that the loop evaluates."""
        match event:
            case Started():
                self.write("started", asdict(event))
            case Stepped():
                self.write("step", asdict(event))
            case Halved():
                self.write("halved", asdict(event))
            case Spiked():
                if event.outcome == "rolled_back":
                    self.rewind(event.step)
                self.write("spiked", asdict(event))
            case Evaluated():
                self.write("evaluated", {"split": "dev", "metrics": {metric: event.score}} | asdict(event))
            case Saved():
                self.write("saved", asdict(event) | {"folder": event.folder.name})
            case Stopped():
                self.write("stopped", asdict(event))

    def rewind(self, step: int) -> None:
        """Forget what was written after `step`: a resumed run will write those lines again."""
        if not self.file.exists():
            return
        kept = [event for event in events(self.file) if event.get("step", 0) <= step]
        try:
            with replacing(self.file) as out:
                out.writelines(f"{json.dumps(event, ensure_ascii=False)}\n" for event in kept)
        except OSError as error:
            raise _unwritten(self.file, error) from None


def events(file: Path) -> Iterator[dict[str, Any]]:
    """The events of a journal; a last line cut short by a crash is left out."""
    with file.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                event = json.loads(line)
            except json.JSONDecodeError:
                return
            if not isinstance(event, dict):
                return
            yield event


def _unwritten(file: Path, error: OSError) -> StorageError:
    return StorageError(
        f"the journal cannot be written: {error.strerror}",
        code="TS-RUN-018",
        place=Place(file=str(file)),
        fix="free some space, then run again with --resume.",
    )
