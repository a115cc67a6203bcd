"""End the saver at each of its calls of the file system in turn, and look for a whole state afterwards.

Twice over: as a crash of the process, after which every byte written is there, and as a power cut, after which a file
that was not synced is empty although its name is durable.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from reliability.figure import Finding, counted
from reliability.forked import begin
from tunesmith.core.errors import ModelFileError
from tunesmith.tune.checkpoint import newest, save

CALLS = ("mkdir", "open", "write", "fsync", "rename", "rmdir", "unlink")
LEAST, MOST = 30, 500
"""Points: with fewer, the saver makes calls that are not watched"""
SCENES = {"a new state": (2, 3, 2), "a state written again": (1, 1, 1)}
"""What is saved: (states before, the step that is saved, how many are kept)"""


def tensors(value: float) -> dict[str, torch.Tensor]:
    """A state that tells by its numbers which one it is."""
    return {"master.a": torch.full((300, 7), float(value)), "empty": torch.zeros(0), "step": torch.tensor(float(value))}


def record(step: int) -> dict[str, Any]:
    """As little as a state needs."""
    return {"schema": 1, "progress": {"step": step, "best_step": None}}


def measure(folder: Path, count: int) -> Finding:
    """Every crash point of every scene; `count` bounds the points of one, for a machine in a hurry."""
    points, faults = 0, []
    for scene, (before, step, keep) in SCENES.items():
        for power_cut in (False, True):
            for point in range(1, min(count, MOST) + 1):
                place = folder / f"{scene}-{power_cut}-{point}".replace(" ", "-")
                for early in range(1, before + 1):
                    save(place, tensors(early), record(early), keep=keep)
                crashed = _crashed(place, step, keep, point, power_cut=power_cut)
                if fault := _fault(place, before, step, keep):
                    faults.append(f"{scene}, call {point}, {'power cut' if power_cut else 'crash'}: {fault}")
                if not crashed:
                    break
                points += 1
    if points < min(LEAST, count):
        faults.append(f"only {points} crash points were found")
    return counted(points, faults, " crash points")


def _crashed(place: Path, step: int, keep: int, point: int, *, power_cut: bool) -> bool:
    """Save in a child that ends at call `point`; whether it got that far."""

    def work() -> None:
        _end_at(point, power_cut=power_cut)
        save(place, tensors(100), record(step), keep=keep)

    return begin(work, place.with_name("output")).wait() == 9


def _fault(place: Path, before: int, step: int, keep: int) -> str | None:
    """What is wrong after a crash: no whole state, another one, or rubbish that the next save leaves lying about."""
    try:
        state = newest(place)
    except ModelFileError as error:
        return error.message
    allowed = {before: {float(before)}}
    allowed.setdefault(step, set()).add(100.0)
    if state is None or state.skipped or state.step not in allowed:
        return f"{state and (state.step, state.skipped)} was found"
    if (value := float(state.tensors()["master.a"][0, 0])) not in allowed[state.step]:
        return f"step {state.step} holds the weights of {value}"
    save(place, tensors(step + 1), record(step + 1), keep=keep)
    names = {path.name for path in place.iterdir()}
    wanted = {f"step-{step + 1:08d}"} | ({state.folder.name} if keep > 1 else set())
    return None if names == wanted else f"the next save leaves {sorted(names)}"


def _end_at(point: int, *, power_cut: bool) -> None:
    """Make the `point`-th call of the file system from now on the last thing this process does."""
    left = [point]
    unsynced: dict[int, int] = {}
    real = {name: getattr(os, name) for name in (*CALLS, "close", "ftruncate", "dup", "fstat")}

    def wrapped(name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                for handle in unsynced.values() if power_cut else ():
                    real["ftruncate"](handle, 0)
                os._exit(9)
            found = real[name](*arguments, **named)
            if name == "open" and arguments[1] & os.O_WRONLY:
                unsynced[real["fstat"](found).st_ino] = real["dup"](found)
            if name == "fsync":
                unsynced.pop(real["fstat"](arguments[0]).st_ino, None)
            return found

        return call

    for name in CALLS:
        setattr(os, name, wrapped(name))
