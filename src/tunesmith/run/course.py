"""The course of a lesson so far, read off its journal: when it began, how far it came, what it scored, how it ended."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Self

from tunesmith.run.journal import events
from tunesmith.tune.events import DONE


@dataclass(slots=True, kw_only=True)
class Course:
    """What the lines of a journal add up to. Of a run that went on, the lines of all its sessions."""

    began: float
    """Seconds since the epoch"""
    step: int = 0
    steps: int | None = None
    """Of the whole lesson; None where its length is a time"""
    done: float = 0.0
    """Share of the lesson, in [0, 1]"""
    tokens: int = 0
    seconds: float = 0.0
    """Time in steps"""
    saved: int | None = None
    """The step of the newest saved state"""
    metric: str | None = None
    """What is scored on dev"""
    score: float | None = None
    """The last score on dev"""
    best_score: float | None = None
    best_step: int | None = None
    reason: str | None = None
    """Why the loop ended; None while it goes on, and where it was killed"""
    started: Mapping[str, Any] | None = None
    """The facts of the last start: device, threads, precision, what learns"""

    @property
    def trained(self) -> bool:
        """Whether the loop came to its own end."""
        return self.reason in DONE

    @classmethod
    def of(cls, lines: Iterable[Mapping[str, Any]]) -> Self | None:
        """The course that the events of a journal describe; None where there is none.

        Raises:
            KeyError, TypeError, ValueError: an event without its facts.
        """
        course = None
        for line in lines:
            if course is None:
                course = cls(began=float(line["time"]))
            course._add(line)
        return course

    def _add(self, line: Mapping[str, Any]) -> None:
        match line["event"]:
            case "started":
                self.started, self.reason = line, None
                self.step, self.steps = int(line["step"]), line["steps"]
            case "step":
                self.step, self.done = int(line["step"]), float(line["done"])
                self.tokens += int(line["tokens"])
                self.seconds += float(line["seconds"])
            case "evaluated":
                self.metric, *_ = line["metrics"]
                self.score, self.best_score = _number(line["score"]), _number(line["best_score"])
                self.best_step = int(line["best_step"])
            case "saved":
                self.saved = int(line["step"])
            case "stopped":
                self.reason = str(line["reason"])


def course(journal: Path) -> Course | None:
    """The course of a journal; None where it is not there or empty.

    Raises:
        OSError: the file cannot be read.
        ValueError: its first line is no event, or an event lacks its facts.
    """
    if not journal.exists():
        return None
    try:
        found = Course.of(events(journal))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ValueError("an event lacks its facts") from None
    if found is None and journal.stat().st_size and b"\n" in journal.read_bytes():
        raise ValueError("its first line is no event")
    return found


def _number(value: float) -> float | None:
    """A score; None where it was not a finite number, which JSON cannot hold."""
    return float(value) if isfinite(value) else None
