"""The learning-rate range test of a configuration, without a run folder."""

from collections.abc import Callable
from dataclasses import dataclass

from tunesmith.run.config import RunConfig
from tunesmith.run.lessons import settings_of, training_data, tuned_model
from tunesmith.run.prepared import prepared
from tunesmith.tune.find_lr import Range, Tried, find_lr, suggested
from tunesmith.tune.gradient import Objective


@dataclass(frozen=True, slots=True)
class RangeTest:
    """What was tried, and the rate that it speaks for (None where the loss never fell)."""

    tried: tuple[Tried, ...]
    suggestion: float | None
    configured: float

    def as_record(self) -> dict[str, object]:
        """A JSON-ready object."""
        rows = [{"rate": item.rate, "loss": item.loss, "smoothed": item.smoothed} for item in self.tried]
        return {"suggestion": self.suggestion, "configured": self.configured, "tried": rows}


def range_test(config: RunConfig, *, progress: Callable[[int], None] = lambda done: None) -> RangeTest:
    """Try one step at each of 100 rates from 1e-6 to 1e-1; `progress` is told how many were tried.

    Raises:
        TunesmithError: what would stop the run itself.
    """
    ready = prepared(config)
    settings = settings_of(ready)
    tried = []
    for item in find_lr(
        Objective(tuned_model(ready), ready.task, config.regularizers),
        training_data(ready),
        settings=settings,
        rates=Range(),
    ):
        tried.append(item)
        progress(len(tried))
    return RangeTest(tuple(tried), suggested(tried), settings.learning_rate or 0.0)
