"""When a lesson will evaluate and save, and how many states then lie on the disk at once: arithmetic, no model.

The borders between steps are walked as the loop walks them, with a pace in place of the steps themselves.
"""

from dataclasses import dataclass

from tunesmith.core.duration import Duration
from tunesmith.tune.progress import Progress
from tunesmith.tune.saver import interval
from tunesmith.tune.settings import TrainSettings

MOST_BORDERS = 200_000
"""Borders that are walked one by one; of a longer run, some are passed over at equal distances."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds that things take: a step, an evaluation that is a new best, a save."""

    step: float
    evaluation: float
    save: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Timetable:
    """What a lesson will do."""

    steps: int
    epochs: float
    evaluations: int
    saves: int
    """The last one included"""
    states: int
    """States on the disk while another is written, that one included"""
    with_best: int
    """How many of these can hold a copy of earlier, better weights too, which the last need not"""


def timetable(settings: TrainSettings, *, length: Duration, groups: int, pace: Pace) -> Timetable:
    """What a lesson of `length` will do whose epochs have so many accumulation groups.

    `settings.patience` is left out of it: nobody knows when a score stops rising.
    """
    every = Duration.parse(settings.evaluate_every or "1 epoch", key="train.evaluate_every")
    rule = Duration.parse(settings.save_every, key="train.save_every") if settings.save_every else None
    stride = max(1, round(_steps(length, groups, pace) / MOST_BORDERS))
    progress = Progress(groups=groups)
    evaluations, saved = 0, _Saved()
    waited = 0.0
    while True:
        over = progress.finished(length)
        if progress.evaluated_step != progress.step and (over or progress.evaluation_due(every)):
            evaluations += 1
            progress.evaluated_step, progress.evaluated_epochs = progress.step, progress.epochs
            waited += pace.evaluation
        if over or saved.due(progress, waited, rule, pace.save):
            if saved.step != progress.step:
                saved.note(progress, evaluated=evaluations > 0)
                waited = 0.0
            if over:
                break
        _advance(progress, stride, pace.step)
        waited += stride * pace.step
    kept = saved.bests[-(settings.keep + 1) :]
    return Timetable(
        steps=progress.step,
        epochs=progress.epochs,
        evaluations=evaluations,
        saves=len(saved.bests),
        states=len(kept),
        with_best=sum(kept),
    )


class _Saved:
    """The saves so far, as `tune.saver.Saver` decides them."""

    def __init__(self) -> None:
        self.step = 0
        self.epochs = 0.0
        self.bests: list[bool] = []

    def due(self, progress: Progress, waited: float, rule: Duration | None, cost: float) -> bool:
        if progress.step == self.step:
            return False
        if rule is None:
            return waited >= interval(progress.seconds, cost if self.bests else 0.0)
        now, before = {
            "steps": (float(progress.step), float(self.step)),
            "epochs": (progress.epochs, self.epochs),
            "seconds": (waited, 0.0),
        }[rule.unit]
        return int(now / rule.amount + 1e-9) > int(before / rule.amount + 1e-9)

    def note(self, progress: Progress, *, evaluated: bool) -> None:
        self.step, self.epochs = progress.step, progress.epochs
        self.bests.append(evaluated)


def _steps(length: Duration, groups: int, pace: Pace) -> float:
    return {"steps": length.amount, "epochs": length.amount * groups, "seconds": length.amount / pace.step}[length.unit]


def _advance(progress: Progress, steps: int, seconds: float) -> None:
    progress.step += steps
    progress.seconds += steps * seconds
    whole, progress.group = divmod(progress.group + steps, progress.groups)
    progress.epoch += whole
