"""Damage the newest saved state in every way a disk or a person does, and go on with the run."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

from reliability.figure import Finding, counted
from reliability.tiny_run import TinyRun, difference, ended
from tunesmith.tune.events import Saved, Started

NEWEST, OLDER = "step-00000010", "step-00000008"
FLIPS = 10


def damages(flips: int) -> dict[str, Callable[[Path, Path], object]]:
    """What can be done to a state, by name; each takes its folder and the folder of an older state."""
    flipped = {f"flipped bit {n} of {flips}": lambda folder, _, n=n: flip(folder, n) for n in range(1, flips + 1)}
    return flipped | DAMAGES


def flip(folder: Path, seed: int) -> None:
    """Change one bit anywhere in the three files of a state."""
    draw = random.Random(seed)
    files = sorted(folder.iterdir())
    file = draw.choices(files, [path.stat().st_size for path in files])[0]
    if seed % 3 == 0:  # the two small files would hardly ever be hit
        file = files[seed // 3 % len(files)]
    content = bytearray(file.read_bytes())
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    file.write_bytes(content)


def _cut(file: Path, size: int) -> None:
    file.write_bytes(file.read_bytes()[:size])


def _as_another(folder: Path, other: Path) -> None:
    for file in folder.iterdir():
        file.write_bytes((other / file.name).read_bytes())


DAMAGES: dict[str, Callable[[Path, Path], object]] = {
    "weights cut short": lambda folder, _: _cut(folder / "tensors.safetensors", 900),
    "weights short of one byte": lambda folder, _: _cut(folder / "tensors.safetensors", -1),
    "empty weights": lambda folder, _: _cut(folder / "tensors.safetensors", 0),
    "missing weights": lambda folder, _: (folder / "tensors.safetensors").unlink(),
    "missing record": lambda folder, _: (folder / "record.json").unlink(),
    "missing manifest": lambda folder, _: (folder / "MANIFEST.json").unlink(),
    "damaged manifest": lambda folder, _: (folder / "MANIFEST.json").write_text("{"),
    "manifest of another shape": lambda folder, _: (folder / "MANIFEST.json").write_text("[1]"),
    "changed record": lambda folder, _: (folder / "record.json").write_text("{}"),
    "weights of another state": lambda folder, other: shutil.copy(other / "tensors.safetensors", folder),
    "another state under this name": _as_another,
}


def measure(folder: Path, count: int) -> Finding:
    """`count` damages, each to a copy of one interrupted run."""
    run, alone, stopped = TinyRun(), folder / "alone", folder / "stopped"
    run.finish(alone)
    for event in run.events(run.model(), stopped):
        if isinstance(event, Saved) and event.folder.name == NEWEST:
            break
    every = damages(max(FLIPS, count - len(DAMAGES)))
    faults = []
    for name in list(every)[-count:]:
        place = folder / name.replace(" ", "-")
        shutil.copytree(stopped, place)
        every[name](place / "checkpoints" / NEWEST, place / "checkpoints" / OLDER)
        if fault := _fault(run, place) or difference(ended(place), ended(alone)):
            faults.append(f"{name}: {fault}")
    return counted(count, faults)


def _fault(run: TinyRun, place: Path) -> str | None:
    """What a run does wrong that finds its newest state damaged; when it does nothing wrong it goes on to the end."""
    started = next(iter(run.events(run.model(), place)))
    assert isinstance(started, Started)
    if started.step != int(OLDER.removeprefix("step-")):
        return f"it goes on from step {started.step}"
    if len(started.notes) != 1 or NEWEST not in started.notes[0]:
        return f"it warns {started.notes}"
    run.finish(place)
    return None
