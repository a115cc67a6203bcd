"""Runs that belong together (methods and seeds, or draws), one after the other, each in a process and a folder its own.

A cell that is finished is not run again, one that was stopped goes on, and one that fails takes no other with it. So
the same command, given again, does what is left to do.
"""

import shutil
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from tunesmith.core.errors import ConfigError, Place, TunesmithError
from tunesmith.run.child import child
from tunesmith.run.config import parsed
from tunesmith.run.leaves import leaves
from tunesmith.run.stored_run import looks_like_a_run, stored_run
from tunesmith.tune.checkpoint import newest
from tunesmith.tune.saver import MAY_CHANGE

PROGRAM: Final = "tunesmith.run.cell_process"
Outcome = Literal["finished", "failed", "stopped"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cell:
    """One run."""

    method: str
    """Kind of the method, or the name of a variant"""
    seed: int
    table: Mapping[str, Any]
    """Its configuration"""
    folder: Path
    draw: int | None = None
    """Of a few-shot run: which draw of the rows"""

    @property
    def name(self) -> str:
        """`lora, seed 1`, or `draw 1`"""
        return f"{self.method}, seed {self.seed}" if self.draw is None else f"draw {self.draw}"


@dataclass(frozen=True, slots=True)
class Doing:
    """A cell is at work: what it does, and how much of its training is done, if it trains."""

    cell: Cell
    number: int
    said: str
    done: float | None


@dataclass(frozen=True, slots=True)
class Ended:
    """A cell ended, now or before."""

    cell: Cell
    number: int
    outcome: Outcome
    detail: str = ""


CellEvent = Doing | Ended


def cells(
    table: Mapping[str, Any],
    *,
    methods: Sequence[str],
    variants: Mapping[str, Mapping[str, Any]],
    seeds: Sequence[int],
    folder: Path,
) -> list[Cell]:
    """A cell for each method and seed, seed by seed, so that a first seed of all is there early.

    The configuration's own method keeps its settings. Any other gets its defaults, and its own learning rate: one that
    was chosen for another method says nothing about it. `variants` are methods with settings, by names of their own; a
    `learning_rate` among these is that of the training.
    """
    tables = {kind: _table(table, kind) for kind in methods} | {
        name: _other(table, method) for name, method in variants.items()
    }
    return [
        Cell(method=name, seed=seed, table={**own, "seed": seed}, folder=folder / f"{name}-seed{seed}")
        for seed in seeds
        for name, own in tables.items()
    ]


def require_same_cells(todo: Sequence[Cell], *, base: Path) -> None:
    """Refuse a folder whose runs were told otherwise: they would pass for runs of this configuration.

    `base` is what data paths are relative to. What a run reads off its data is not compared, nor what decides no
    result.

    Raises:
        ConfigError: at the first key that differs.
    """
    for cell in todo:
        wanted = parsed(cell.table, folder=base).result_table()
        given = cell.table.get("task")
        told = set(given) if isinstance(given, Mapping) else {"kind"}
        wanted["task"] = {key: value for key, value in (wanted["task"] or {}).items() if key in told}
        now, before = dict(leaves(wanted)), dict(leaves(stored_run(cell.folder).config))
        gone = [key for key in before if key.startswith("regularizers.") and key not in now]
        for key in (*now, *gone):
            if key.removeprefix("train.") not in MAY_CHANGE and key in before and before[key] != now.get(key):
                raise ConfigError(
                    f"{cell.name} was run with {before[key]!r}, now it says {now.get(key)!r}",
                    code="TS-RUN-032",
                    place=Place(key=key),
                    fix="set it back, or name another folder with --out.",
                )


def ran(
    todo: Sequence[Cell], *, folder: Path, origins: Mapping[str, str], should_stop: Callable[[], str | None]
) -> Iterator[CellEvent]:
    """Run what is left to run. Data paths are relative to `folder`. Ends early where it is asked to stop."""
    for number, cell in enumerate(todo, start=1):
        found = stored_run(cell.folder) if looks_like_a_run(cell.folder) else None
        if found and found.standing.state == "finished":
            yield Ended(cell, number, "finished", "done before")
            continue
        saved = found is not None and newest(found.folder.checkpoints) is not None
        if found and not saved and found.standing.state != "running":
            shutil.rmtree(cell.folder)  # it ended before it had learnt anything that is kept
        wish = {"table": cell.table, "folder": str(folder), "out": str(cell.folder), "resume": saved}
        ended = yield from _run(cell, number, wish | {"origins": dict(origins)}, should_stop)
        yield ended
        if ended.outcome == "stopped":
            return


def _run(
    cell: Cell,
    number: int,
    wish: Mapping[str, Any],
    should_stop: Callable[[], str | None],
) -> Generator[CellEvent, None, Ended]:
    last: dict[str, Any] = {}
    asked = False
    with child(PROGRAM, wish) as process:

        def look() -> None:
            nonlocal asked
            if not asked and should_stop():
                asked = True
                process.ask_to_stop()

        for said in process.said(look):
            last = said
            if "doing" in said:
                yield Doing(cell, number, said["doing"], said["done"])
        if last.get("finished"):
            return Ended(cell, number, "finished")
        if asked or "stopped" in last:
            return Ended(cell, number, "stopped", "what it learnt is saved")
        error = process.failure(last, "the run")
    return Ended(cell, number, "failed", _told(error))


def _told(error: Exception) -> str:
    if not isinstance(error, TunesmithError):
        return str(error).strip().rpartition("\n")[2]
    place = f"{error.place}: " if error.place and str(error.place) else ""
    return f"{place}{error.message} [{error.code}]"


def _table(table: Mapping[str, Any], kind: str) -> dict[str, Any]:
    own = table.get("method", "full")
    named = own.get("kind") if isinstance(own, Mapping) else own
    return dict(table) if named == kind else _other(table, {"kind": kind})


def _other(table: Mapping[str, Any], method: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with another method, at a rate of its own."""
    settings = dict(method)
    train = {key: value for key, value in dict(table.get("train", {})).items() if key != "learning_rate"}
    if "learning_rate" in settings:
        train["learning_rate"] = settings.pop("learning_rate")
    return {**table, "method": settings, "train": train}
