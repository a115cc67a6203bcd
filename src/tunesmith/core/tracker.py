"""The contract of a tracker: it is told facts of a run, never objects of it, and can do nothing to it.

    begin(run) once, then note(record) for whatever happens, then finish(ending)

The calls are made in a process of the tracker's own (run/tracker_process.py). What goes wrong there stays there: an
error, a library that crashes, a host that never answers.

Laws, met by every kind (tests/laws): a run with it ends with the weights and scores of a run without; a run that was
stopped and goes on is the same tracked run.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from tunesmith.core.component import Component

Record = Mapping[str, str | int | float | bool | None]
"""One fact, flat. `event` says which: `phase`, `note`, `started`, `step`, `halved`, `spiked`, `evaluated`, `saved` or
`stopped`; `time` is seconds since the epoch; what the loop says has a `step` and a `lesson` (`training`, or `silver`
ahead of it). A number that is not finite is None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedRun:
    """What is known before the first step."""

    id: str
    """The same when a stopped run goes on"""
    name: str
    folder: Path
    """Of the run, absolute"""
    config: Mapping[str, Any]
    """The resolved configuration as nested tables, without the trackers"""
    backbone: Mapping[str, str]
    """`name` and `fingerprint`"""
    data: Mapping[str, str]
    """The fingerprint of each split"""
    resumed: bool

    @property
    def facts(self) -> dict[str, str | int | float | bool | None]:
        """Configuration, backbone and data under dotted keys; a list is written as text."""
        prints = {"backbone.fingerprint": self.backbone["fingerprint"]}
        prints |= {f"data.fingerprint.{split}": value for split, value in self.data.items()}
        return dict(_flat(self.config, "")) | prints


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a run ended. Scores and cost are empty unless it finished."""

    state: Literal["finished", "interrupted", "failed"]
    reason: str = ""
    scores: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    """By split and metric (`test/span_f1`): `value`, and `low` and `high` where there is an interval"""
    cost: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)

    @property
    def numbers(self) -> dict[str, float]:
        """The scores, apart from the curves (`final/test/span_f1`), each end of an interval by itself (`.../low`)."""
        return {
            f"final/{name}" if part == "value" else f"final/{name}/{part}": number
            for name, score in self.scores.items()
            for part, number in score.items()
            if number is not None
        }


class Tracking(ABC):
    """A tracked run that is open."""

    @abstractmethod
    def note(self, record: Record) -> None:
        """Take a fact."""

    @abstractmethod
    def finish(self, ending: Ending) -> None:
        """Write down how it ended, and close."""


class Tracker(Component):
    """Where to track. Whatever it raises switches it off and nothing else."""

    needs: ClassVar[tuple[str, ...]] = ()
    """Modules that must be installed; looked for, not imported, before the run begins"""
    install: ClassVar[str] = 'pip install "tunesmith[track]"'
    """How to install them"""

    wait: float = Field(default=60.0, gt=0)
    """Seconds that one call of the tracker may take, and that a finished run waits for it; then it is cut off."""

    @abstractmethod
    def begin(self, run: TrackedRun) -> Tracking:
        """Open the tracked run, or go on with it."""


def charted(record: Record) -> dict[str, float]:
    """What a record adds to curves over steps: `train/loss`, `dev/span_f1`; those of silver pairs under `silver/`."""
    above = "silver/" if record.get("lesson") == "silver" else ""
    if record["event"] == "evaluated":
        found = {f"dev/{record['metric']}": record["score"]}
    elif record["event"] == "step":
        found = {f"train/{name}": value for name, value in record.items() if name in DRAWN or name.startswith("term/")}
    else:
        return {}
    return {f"{above}{name}": float(value) for name, value in found.items() if value is not None}


def last_valid_step(record: Record) -> int | None:
    """The step after which all that was told of the lesson is undone: a run goes on from there, or went back to it."""
    went_back = record["event"] == "spiked" and record["outcome"] == "rolled_back"
    step = record["step"] if went_back or record["event"] == "started" else None
    return step if isinstance(step, int) else None


DRAWN = ("loss", "learning_rate", "gradient_norm", "tokens_per_second", "epoch")
"""Numbers of a step that are worth a curve, beside each regularizer's `term/KIND`."""


def _flat(table: Mapping[str, Any], above: str) -> list[tuple[str, str | int | float | bool | None]]:
    found: list[tuple[str, str | int | float | bool | None]] = []
    for key, value in table.items():
        if isinstance(value, Mapping):
            found += _flat(value, f"{above}{key}.")
        else:
            plain = value is None or isinstance(value, str | int | float | bool)
            found.append((f"{above}{key}", value if plain else str(value)))
    return found
