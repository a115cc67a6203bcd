"""Save after every step for thousands of steps, and watch memory, file descriptors and the disk."""

import os
from pathlib import Path

from reliability.figure import Finding
from reliability.tiny_run import TinyRun
from tunesmith.tune.events import Saved

WARM = 50
"""Cycles after which growth is counted; before them caches fill"""
GROWTH = 20.0
KEEP = 2


def measure(folder: Path, count: int) -> Finding:
    """`count` cycles of a step, a save and the removal of an older state."""
    run, most = TinyRun(), [0]
    _count_states(folder / "checkpoints", most)
    memory, descriptors = 0.0, 0
    settings = {"length": f"{count} steps", "save_every": "1 steps", "evaluate_every": "25 steps", "keep": KEEP}
    for event in run.events(run.model(), folder, **settings):
        if isinstance(event, Saved) and event.step == WARM:
            memory, descriptors = _memory(), _descriptors()
    grown, opened = _memory() - memory, _descriptors() - descriptors
    faults = []
    if grown > GROWTH:
        faults.append(f"memory grew by {grown:.1f} MB")
    if opened:
        faults.append(f"{opened} more descriptors are open")
    if most[0] > KEEP + 1:
        faults.append(f"{most[0]} states were on disk at once, {KEEP} are kept")
    return Finding(
        f"{count:,} saves: {grown:+.1f} MB, {opened:+d} descriptors, at most {most[0]} states", tuple(faults)
    )


def _count_states(checkpoints: Path, most: list[int]) -> None:
    """Note how many states, whole or half-written, stand on disk whenever one is renamed: there are never more."""
    rename = os.rename

    def counted(source: Path, target: Path) -> None:
        rename(source, target)
        states = [path for path in checkpoints.iterdir() if path.name.startswith("step-")]
        most[0] = max(most[0], len(states))

    os.rename = counted


def _memory() -> float:
    """The resident set of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))
