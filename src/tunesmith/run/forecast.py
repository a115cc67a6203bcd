"""From what a probe measured to what the run will take, each figure with an interval.

    steps      a * groups + b * tokens, by least squares over the measured groups; as the order of the data is known, so
               are the groups and tokens of the run. Resampling the measured groups tells how uncertain the sum is
    the rest   what was timed in full as it is; what was thinned, in proportion to its rows; each with an error of its
               own, since it was measured once

How far the machine may drift until the run, `figure.py` tells.

Memory is the probe's own peak, and a little: what the allocator and the caches of kernels keep after many steps and
rows comes on top, which a short run has less of and a long one more.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

from tunesmith.bundle.reference import MOST
from tunesmith.run.figure import Figure, factors
from tunesmith.run.lesson_forecast import PACES, LessonForecast, Outlook
from tunesmith.run.probe import Probed
from tunesmith.run.probe_lesson import Lesson
from tunesmith.run.prober import Probe

MEMORY: Final = (1.08, 0.95, 1.25)
"""Value, low and high in peaks of the probe (benchmarks/planning/truth.py)"""
DEVICE: Final = (1.0, 0.95, 1.15)
"""The same of tensors on a GPU; above, since its allocator hands out whole blocks"""
DISK: Final = 0.01
"""Of what is written: names, dates and counts differ by a few bytes"""
ANSWERS: Final = 0.2
"""Of stored answers: a model that has learnt finds other spans than one that has not"""
DESCRIBING: Final = 2.2
"""What describing a row of dev costs in the bundle, in answers: it is answered, and read once more in small batches"""
ONCE: Final = 0.15
"""Relative error of a stage that is measured only once, with nothing to average over"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a run will take."""

    seconds: Figure
    """From the start of the command to its end"""
    memory: Figure
    """Most bytes of the process"""
    heaviest: str
    """The stage in which it holds them: "training", or "judging" where that, or bundling, takes more"""
    device_memory: Figure | None
    """Most bytes of the GPU that tensors take"""
    running: Figure
    """Most bytes in the run folder at any time"""
    bundle: Figure
    """Bytes of the bundle"""
    stages: dict[str, float]
    """Seconds of each part of the run, in order"""
    lessons: tuple[LessonForecast, ...]
    device: str
    precision: str
    waited: float
    """Wall over processor seconds of the probe's steps; 1 on an idle machine"""

    def as_record(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "seconds": self.seconds.as_record(),
            "memory_bytes": self.memory.as_record(),
            "heaviest": self.heaviest,
            "device_memory_bytes": self.device_memory.as_record() if self.device_memory else None,
            "disk_bytes": {"running": self.running.as_record(), "bundle": self.bundle.as_record()},
            "stages": {name: round(seconds, 3) for name, seconds in self.stages.items()},
            "lessons": [lesson.as_record() for lesson in self.lessons],
            "device": self.device,
            "precision": self.precision,
            "waited": round(self.waited, 3),
        }


def forecast(probe: Probe) -> Forecast:
    """What the probed run will take."""
    found = probe.found
    thinned = found.seen[0] / found.rows[0] if found.rows[0] else 1.0
    pairs = zip(found.lessons, found.settings, strict=True)
    plans = [Outlook(lesson, settings, thinned=thinned) for lesson, settings in pairs]
    waited = _waited(found.lessons)
    after = _after(found)
    stages = {"reading": probe.starting + found.reading + found.building, "pairing": found.pairing}
    stages["training"] = sum(plan.lesson.before + plan.recalling + plan.seconds for plan in plans)
    stages["evaluating"] = sum(plan.evaluating for plan in plans)
    stages["saving"] = sum(plan.saving for plan in plans)
    stages |= after
    stages["bundling"] += probe.leaving
    last = found.lessons[-1]
    recalled = max(lesson.recalled_bytes for lesson in found.lessons)
    in_memory, on_device = (recalled, 0) if last.device == "cpu" else (0, recalled)
    training = found.peak_training + in_memory
    peak = max(training, found.peak)
    device = None
    if found.device_peak:
        device = Figure(*((found.device_peak + on_device) * factor for factor in DEVICE))
    bundle = Figure(*(found.bundle_bytes * factor for factor in (1.0, 1 - DISK, 1 + DISK)))
    return Forecast(
        seconds=_seconds(stages, plans, waited),
        memory=Figure(*(peak * factor for factor in MEMORY)),
        heaviest="training" if training == peak else "judging",
        device_memory=device,
        running=_running(found, plans),
        bundle=bundle,
        stages={name: seconds for name, seconds in stages.items() if seconds},
        lessons=tuple(plan.forecast(waited) for plan in plans),
        device=last.device,
        precision=last.precision,
        waited=waited,
    )


def _waited(lessons: tuple[Lesson, ...]) -> float:
    """Wall over processor seconds of the main thread, in all measured steps."""
    steps = [step for lesson in lessons for step in lesson.steps]
    return max(1.0, sum(step.seconds for step in steps) / max(sum(step.busy for step in steps), 1e-9))


def _after(found: Probed) -> dict[str, float]:
    """Seconds of the stages after training, for all rows of dev and test."""
    dev, test = (rows / seen if seen else 0.0 for rows, seen in zip(found.rows, found.seen, strict=True))
    scale = sum(found.rows) / sum(found.seen)
    answering = found.answers[0] * dev + found.answers[1] * test
    judging = found.baselines + (found.judging - found.baselines) * scale
    described = min(found.rows[0], MOST) - min(found.seen[0], MOST)
    answer = min(seconds / rows for seconds, rows in zip(found.answers, found.seen, strict=True) if rows)
    return {"judging": answering + judging, "bundling": found.bundling + DESCRIBING * answer * described}


def _seconds(stages: dict[str, float], plans: list[Outlook], waited: float) -> Figure:
    """All stages together. What is given as a time does not drift; what patience may end can end early."""
    total = sum(stages.values())
    given = sum(plan.seconds for plan in plans if plan.timed)
    moving = total - given
    counted = [plan for plan in plans if not plan.timed]
    once = moving - sum(plan.seconds for plan in counted)
    doubts = [ONCE * once, *(plan.seconds * plan.spread for plan in counted)]
    low, high = factors(math.hypot(*doubts) / moving, waited)
    kept = moving - sum(plan.spared * (plan.evaluating + plan.seconds * (not plan.timed)) for plan in plans)
    surely = given - sum(plan.spared * plan.seconds for plan in plans if plan.timed)
    return Figure(total, surely + kept * low, given + moving * high)


def _running(found: Probed, plans: list[Outlook]) -> Figure:
    """The most bytes in the run folder: while a state is written beside those kept, or at the end."""
    answered = found.row_bytes * sum(found.rows) / sum(found.seen)
    journal = found.step_bytes * sum(plan.table.steps + plan.table.evaluations for plan in plans)
    fixed = found.other_bytes + journal
    for plan in plans[:-1]:
        fixed += found.silver_bytes + plan.kept(plan.table, last=0.0)
    final = found.bundle_bytes + answered
    sizes = [size for slower in PACES for size in plans[-1].most(slower, final)]
    doubt = ANSWERS * answered
    low, high = (1 - DISK) * (fixed + min(sizes)) - doubt, (1 + DISK) * (fixed + max(sizes)) + doubt
    return Figure(fixed + sizes[0], low, high)
