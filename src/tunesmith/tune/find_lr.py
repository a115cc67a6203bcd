"""A learning-rate range test: the rate grows from step to step, and the loss shows which rates teach.

    rate_i = lowest * (highest / lowest)^(i / (steps - 1))

The smoothed loss (an exponential mean, corrected for its start) first lies still, then falls, then rises. Suggested is
the rate at which it falls fastest on the logarithmic axis. The model comes back with the weights it had, bit by bit.
Source: Smith 2017, Cyclical Learning Rates for Training Neural Networks, section 3.3.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tunesmith.core.errors import NumericsError
from tunesmith.tune.data import TrainingData
from tunesmith.tune.gradient import Objective
from tunesmith.tune.precision import choose, choose_device
from tunesmith.tune.settings import TrainSettings
from tunesmith.tune.training import Training

SMOOTHING = 0.9
HOPELESS = 4.0
"""How many times the best smoothed loss ends the test"""


@dataclass(frozen=True, slots=True)
class Range:
    """The rates to try."""

    lowest: float = 1e-6
    highest: float = 1e-1
    steps: int = 100

    def rate(self, index: int) -> float:
        """The rate of a step, from 0."""
        return float(self.lowest * (self.highest / self.lowest) ** (index / (self.steps - 1)))


@dataclass(frozen=True, slots=True)
class Tried:
    """One step of the test."""

    rate: float
    loss: float
    smoothed: float


def find_lr(
    objective: Objective,
    data: TrainingData,
    *,
    settings: TrainSettings,
    rates: Range | None = None,
) -> Iterator[Tried]:
    """Try the rates one step each, on the batches a run would begin with. Ends early where the loss explodes."""
    rates = rates or Range()
    device = choose_device(settings.device)
    choice = choose(settings.precision, width=objective.model.backbone.width, device=device)
    plain = settings.model_copy(update={"learning_rate": rates.highest, "length": f"{rates.steps} steps"})
    training = Training(objective, data, settings=plain, choice=choice, device=device)
    before = {name: value.clone() for name, value in training.optimizer.masters.items()}
    try:
        yield from _tried(training, rates)
    finally:
        training.take(before)
        training.close()


def _tried(training: Training, rates: Range) -> Iterator[Tried]:
    mean, best = 0.0, float("inf")
    for index in range(rates.steps):
        try:
            stepped = training.step(rate=rates.rate(index))
        except NumericsError:
            return
        mean = SMOOTHING * mean + (1 - SMOOTHING) * stepped.loss
        smoothed = mean / (1 - SMOOTHING ** (index + 1))
        best = min(best, smoothed)
        yield Tried(rates.rate(index), stepped.loss, smoothed)
        if smoothed > HOPELESS * best:
            return


def suggested(tried: Sequence[Tried], *, reach: int = 4) -> float | None:
    """The rate at which the smoothed loss falls fastest, before its lowest point; None where it never falls by 2 %.

    `reach` points to either side make a slope, since single differences are noise.
    """
    losses = [item.smoothed for item in tried]
    if not losses:
        return None
    bottom = losses.index(min(losses))
    if losses[bottom] > 0.98 * losses[0]:
        return None
    slopes = {
        index: losses[min(index + reach, bottom)] - losses[max(index - reach, 0)] for index in range(1, bottom + 1)
    }
    return tried[min(slopes, key=lambda index: slopes[index])].rate
