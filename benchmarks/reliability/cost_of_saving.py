"""Train the English starter for some minutes at the default interval, and add up the time that saving takes.

Counted is everything between a decision to save and the durable state, the best weights put aside included, against
the whole time of the loop, evaluations included.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from reliability.commands import SAMPLE
from reliability.figure import Finding
from tunesmith.run.config import read_config
from tunesmith.run.folder import RunFolder
from tunesmith.run.train import run
from tunesmith.tune.events import Saved, Started, Stopped
from tunesmith.tune.saver import Saver

MOST = 0.05


def measure(folder: Path, count: int) -> Finding:
    """A run of `count` seconds."""
    file, target = folder / "run.toml", RunFolder(folder / "run")
    file.write_text(
        f'backbone = "starter:english"\n[data]\ntrain = "{SAMPLE}"\n[task]\nkind = "text_classification"\n'
        f'[train]\nlength = "{count} seconds"\n',
        encoding="utf-8",
    )
    target.path.mkdir()
    spent: list[float] = []
    Saver.save, Saver.save_best = _timed(Saver.save, spent), _timed(Saver.save_best, spent)
    begun = ended = 0.0
    states = []
    for event in run(read_config(file), target, origins={}):
        match event:
            case Started():
                begun = time.perf_counter()
            case Saved():
                states.append(event.bytes)
            case Stopped():
                ended = time.perf_counter()
                break
    share = sum(spent) / (ended - begun)
    value = f"{share:.1%} of {ended - begun:.0f} s: {len(states)} states of {max(states) / 1e6:.0f} MB"
    return Finding(value, (f"saving took {share:.1%}",) if share >= MOST else ())


def _timed(call: Callable[..., Any], spent: list[float]) -> Callable[..., Any]:
    """The same call, its time added to `spent`."""

    def timed(*given: Any) -> Any:
        begun = time.perf_counter()
        try:
            return call(*given)
        finally:
            spent.append(time.perf_counter() - begun)

    return timed
