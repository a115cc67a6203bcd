"""What a figure is: a promise in one sentence, the way to measure it, and what was found."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Finding:
    """What a measurement gave."""

    value: str
    """The figure itself, such as "50/50"."""
    faults: tuple[str, ...] = ()
    """What broke the promise, one sentence each; none where it is kept."""

    @property
    def met(self) -> bool:
        """Whether the promise is kept."""
        return not self.faults


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A promise and how it is measured."""

    id: str
    promise: str
    measure: Callable[[Path, int], Finding]
    """Given an empty folder and a count; it runs in a process of its own that has one thread."""
    full: int
    """The count of the published figure"""
    quick: int | None
    """The count that shows within seconds whether the measurement works; None where so little would show nothing"""

    @property
    def script(self) -> str:
        """The file that measures."""
        return f"benchmarks/{self.measure.__module__.replace('.', '/')}.py"


def counted(trials: int, faults: list[str], more: str = "") -> Finding:
    """A finding of independent trials, of which each fault spoilt one."""
    return Finding(f"{trials - len(faults)}/{trials}{more}", tuple(faults))
