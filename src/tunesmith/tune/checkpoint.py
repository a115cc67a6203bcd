"""Saved states of a run: what is in one, the search for the newest whole one, and what may be thrown away.

    checkpoints/step-00000120/  tensors.safetensors  record.json  MANIFEST.json    all that the next step depends on
    checkpoints/best/           likewise, the best weights so far, put aside to save memory; states hold their own copy

A damaged state is passed over with a notice and never trained on. Where states are, but none is whole, nothing starts.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from tunesmith.core.errors import ModelFileError, Place
from tunesmith.tune.durable import damage, restore, retire, sweep, write_folder

_STATE = re.compile(r"step-(\d{8,})")
BEST = "best"


def _never() -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class SavedState:
    """A whole state on disk."""

    folder: Path
    record: Mapping[str, Any]
    """Progress, settings, precision, fingerprints, environment"""
    skipped: tuple[str, ...] = ()
    """Newer states that are damaged, each with what is wrong with it"""

    @property
    def step(self) -> int:
        """Updates done."""
        return int(self.record["progress"]["step"])

    def tensors(self) -> dict[str, Tensor]:
        """Masters, moments, the step count, and the best weights unless they are the masters; on the CPU."""
        return _loaded(self.folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """Where a run keeps its states, the one it goes on from, and how it learns that it should stop."""

    folder: Path
    """`checkpoints/` of the run"""
    resume: SavedState | None = None
    """What `newest` found"""
    should_stop: Callable[[], str | None] = field(default=_never)
    """Asked between two steps; a reason ends the run at a saved state"""


def save(folder: Path, tensors: Mapping[str, Tensor], record: Mapping[str, Any], *, keep: int) -> tuple[Path, int]:
    """Write a state durably, then remove older ones beyond `keep`. Returns its folder and its bytes.

    Raises:
        StorageError: the disk failed or is full; earlier states are untouched.
    """
    step = record["progress"]["step"]
    target = folder / f"step-{step:08d}"
    size = write_folder(target, tensors=tensors, record=record)
    _rotate(folder, step, keep)
    return target, size


def save_best(folder: Path, step: int, weights: Mapping[str, Tensor]) -> None:
    """Put the best weights so far aside. Every state holds its own copy, so they need not survive a power cut here."""
    write_folder(folder / BEST, tensors=weights, record={"step": step}, sync=False)


def load_best(folder: Path, step: int) -> dict[str, Tensor]:
    """The best weights that `save_best` put aside.

    Raises:
        ModelFileError: they are damaged or of another step.
    """
    fault = damage(folder / BEST)
    if fault is None:
        found = json.loads((folder / BEST / "record.json").read_bytes())["step"]
        fault = None if found == step else f"they are of step {found} instead of {step}"
    if fault is not None:
        raise ModelFileError(
            f"the best weights cannot be used: {fault}",
            code="TS-CKPT-005",
            place=Place(file=str(folder / BEST)),
            fix="go on with --resume: the last state holds its own copy.",
        )
    return _loaded(folder / BEST)


def newest(folder: Path, *, below: int | None = None) -> SavedState | None:
    """The newest state of which every byte is as it was written, of a step under `below` where that is given.

    None where there is no such state at all.

    Raises:
        ModelFileError: there are states and all are damaged.
    """
    restore(folder)
    skipped: list[str] = []
    for path in sorted(_states(folder), reverse=True):
        if below is not None and int(path.name[5:]) >= below:
            continue
        fault = damage(path)
        if fault is None:
            record = json.loads((path / "record.json").read_bytes())
            fault = _contradiction(path, record)
            if fault is None:
                return SavedState(path, record, tuple(skipped))
        skipped.append(f"{path.name}: {fault}")
    if skipped:
        raise ModelFileError(
            f"no saved state can be used: {'; '.join(skipped)}",
            code="TS-CKPT-004",
            place=Place(file=str(folder)),
            fix="restore the folder from a copy, or start a new run in another folder.",
        )
    return None


def forget(folder: Path, *, after: int) -> None:
    """Throw away the states of later steps: the run has gone back and will not come by them again."""
    for path in _states(folder):
        if int(path.name[5:]) > after:
            retire(path)


def _contradiction(path: Path, record: Mapping[str, Any]) -> str | None:
    """What is wrong with a state whose own bytes are whole."""
    if record.get("schema") != 1:
        return f"it has schema {record.get('schema')}, this version reads 1"
    if path.name != f"step-{record['progress']['step']:08d}":
        return f"it holds step {record['progress']['step']}"
    return None


def _loaded(folder: Path) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = load_file(folder / "tensors.safetensors")
    return tensors


def _rotate(folder: Path, step: int, keep: int) -> None:
    """Remove states beyond `keep`, and states of a future that a resumed run has left."""
    sweep(folder)
    states = sorted(_states(folder))
    past = [path for path in states if int(path.name[5:]) <= step]
    for path in set(states) - set(past[-keep:]):
        retire(path)


def _states(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if _STATE.fullmatch(path.name)] if folder.is_dir() else []
