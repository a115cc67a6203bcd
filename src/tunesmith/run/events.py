"""What a run says while it works. The loop's own facts pass through unchanged."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.tune.events import TuneEvent


@dataclass(frozen=True, slots=True)
class Phase:
    """A stage begins: `reading`, `training`, `judging`, `bundling`."""

    name: str
    detail: str


@dataclass(frozen=True, slots=True)
class Noted:
    """Something the person should know, one sentence."""

    text: str


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The run stopped at a saved state, because a signal asked it to."""

    step: int
    signal: str
    folder: Path


@dataclass(frozen=True, slots=True)
class Finished:
    """The run is complete: its folder and its report."""

    folder: Path
    record: dict[str, Any]


RunEvent = Phase | Noted | TuneEvent | Interrupted | Finished
