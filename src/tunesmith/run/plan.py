"""A plan before a run: how long it will take, how much memory and disk, and what would make it fit where it does not.

The run is probed in a process of its own, and so is each remedy: nothing is guessed from a formula. Nothing is written
beside a temporary folder, which is gone in the end.
"""

import math
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from tunesmith.core.errors import MemoryLimitError
from tunesmith.core.memory import free_memory
from tunesmith.run.config import overridden
from tunesmith.run.forecast import Forecast, forecast
from tunesmith.run.probe import Tell
from tunesmith.run.prober import ShouldStop, probe
from tunesmith.run.remedies import Assignments, remedies, typed
from tunesmith.tune.settings import TrainSettings

Fit = Literal["yes", "perhaps", "no"]
FEW: Final = 8
"""Steps of a remedy's probe: its memory is met by the heaviest batches alone"""
HELPS: Final = 0.99
"""A remedy is kept for the next one where it leaves less than this share of the memory"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bytes that the run may take; None where nobody says."""

    memory: int | None
    named: bool
    """Whether a person named it, or it is what is free now"""
    device_memory: int | None
    disk: int

    def as_record(self) -> dict[str, Any]:
        """JSON-ready."""
        own = {"memory_bytes": self.memory, "memory_named": self.named}
        return own | {"device_memory_bytes": self.device_memory, "disk_bytes": self.disk}


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """Settings that were tried, and what the run would take with them; None where not even the probe fitted."""

    settings: tuple[str, ...]
    """As `--set` takes them"""
    forecast: Forecast | None
    fits: Fit

    def as_record(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"set": list(self.settings), "fits": self.fits} | _figures(self.forecast)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run will take, whether it fits, and what was tried where that is in doubt."""

    forecast: Forecast | None
    """None where not even the probe fitted"""
    limits: Limits
    fits: Fit
    remedies: tuple[Remedy, ...]
    """In the order they were tried, up to the first that fits"""
    took: float
    """Seconds of planning"""

    def as_record(self) -> dict[str, Any]:
        """JSON-ready."""
        own = _figures(self.forecast) | {"limits": self.limits.as_record(), "fits": self.fits}
        return own | {"remedies": [remedy.as_record() for remedy in self.remedies], "took": round(self.took, 3)}


def planned(
    table: Mapping[str, Any],
    *,
    folder: Path,
    target: Path,
    memory: int | None = None,
    tell: Tell = lambda said: None,
    should_stop: ShouldStop = lambda: None,
) -> Plan:
    """Plan the run that a configuration describes.

    Args:
        table: The configuration, as TOML has it.
        folder: What its paths are relative to.
        target: The run folder it would write, for the disk that is free there. It is not touched.
        memory: Bytes it is to fit into; what is free now where None.
        tell: Told what is being done.
        should_stop: Asked now and then; a reason ends the planning.

    Raises:
        CutShort: it was asked to stop.
        TunesmithError: what would stop the run itself.
    """
    begin = time.perf_counter()
    limit = free_memory() if memory is None else memory
    try:
        first = probe(table, folder=folder, tell=tell, should_stop=should_stop)
    except MemoryLimitError:
        first = None
    made = forecast(first) if first else None
    limits = Limits(
        memory=limit,
        named=memory is not None,
        device_memory=first.found.device_free if first else None,
        disk=_free_disk(target),
    )
    fits = _fit(made, limits)
    tried: tuple[Remedy, ...] = ()
    if fits != "yes":
        settings = first.found.settings[-1] if first else TrainSettings.model_validate(table.get("train", {}))
        precision = made.precision if made else settings.precision
        ladder = remedies(settings, method=_method(table), precision=precision, silver=_silver_batch(table))
        asked = _Asked(table, folder, limits, tell, should_stop)
        tried = tuple(asked.climbed(ladder, _worst(made)))
    return Plan(forecast=made, limits=limits, fits=fits, remedies=tried, took=time.perf_counter() - begin)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the trials of remedies share."""

    table: Mapping[str, Any]
    folder: Path
    limits: Limits
    tell: Tell
    should_stop: ShouldStop

    def climbed(self, ladder: Iterable[Assignments], least: float) -> Iterator[Remedy]:
        """Each remedy beside those before it that lessened memory, up to the first that fits."""
        given: Assignments = {}
        for remedy in ladder:
            trial = {**given, **remedy}
            tried = self.tried(typed(trial))
            yield tried
            if tried.fits == "yes":
                return
            if tried.forecast is None or _worst(tried.forecast) < HELPS * least:
                given, least = trial, _worst(tried.forecast)

    def tried(self, settings: tuple[str, ...]) -> Remedy:
        self.tell(f"trying {' '.join(settings)}")
        table = overridden(self.table, settings)
        try:
            found = probe(table, folder=self.folder, steps=FEW, tell=lambda said: None, should_stop=self.should_stop)
        except MemoryLimitError:
            return Remedy(settings=settings, forecast=None, fits="no")
        made = forecast(found)
        return Remedy(settings=settings, forecast=made, fits=_fit(made, self.limits))


def _worst(made: Forecast | None) -> float:
    """The memory that counts: of the GPU where there is one. Infinite where nothing fitted."""
    if made is None:
        return math.inf
    return (made.device_memory or made.memory).value


def _fit(made: Forecast | None, limits: Limits) -> Fit:
    """Whether memory holds the run, its device's included."""
    if made is None:
        return "no"
    pairs = ((made.memory, limits.memory), (made.device_memory, limits.device_memory))
    known = [(figure, limit) for figure, limit in pairs if figure is not None and limit is not None]
    if all(figure.high <= limit for figure, limit in known) and _in_one_piece(made):
        return "yes"
    return "no" if any(figure.low > limit for figure, limit in known) else "perhaps"


def _in_one_piece(made: Forecast) -> bool:
    """Whether no batch had to be cut for want of memory."""
    return all(lesson.pieces == 1 for lesson in made.lessons)


def _method(table: Mapping[str, Any]) -> str:
    method = table.get("method", "full")
    return str(method.get("kind", "full")) if isinstance(method, Mapping) else str(method)


def _silver_batch(table: Mapping[str, Any]) -> int | None:
    return (table.get("silver") or {}).get("batch_size")


def _free_disk(target: Path) -> int:
    """Bytes left where the run folder would be made."""
    there = next(path for path in (target.absolute(), *target.absolute().parents) if path.exists())
    return shutil.disk_usage(there).free


def _figures(made: Forecast | None) -> dict[str, Any]:
    return {"forecast": made.as_record() if made else None}
