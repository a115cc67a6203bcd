"""The loop, as a generator: it yields what happened, and the caller logs, draws, tracks and stops.

    for event in fit(model, task, data, settings=settings, evaluate=score):
        match event: ...

Between two steps lies the border where everything else happens, in this order: stop if asked to, evaluate if due,
finish if done, save if due. A run that goes on from a saved state begins at the same border.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from tunesmith.core.duration import Duration
from tunesmith.core.model import Model
from tunesmith.core.regularizer import Regularizer
from tunesmith.core.task import Task
from tunesmith.tune.data import TrainingData as TrainingData  # a caller of `fit` needs both
from tunesmith.tune.events import Stopped, TuneEvent
from tunesmith.tune.gradient import Objective
from tunesmith.tune.precision import choose, choose_device
from tunesmith.tune.settings import TrainSettings
from tunesmith.tune.training import Training


def fit(
    model: Model,
    task: Task,
    data: TrainingData,
    *,
    settings: TrainSettings,
    regularizers: Sequence[Regularizer] = (),
    evaluate: Callable[[Model], float] | None = None,
) -> Iterator[TuneEvent]:
    """Train `model` in place. When the generator ends, the model is in fp32 on the device it came from.

    With `evaluate` the model ends with the weights of the best score, else with the last ones.

    Raises:
        ConfigError: no learning rate, or a device or precision that is not there.
        NumericsError: a loss or gradient is not finite; nothing was updated by that step.
    """
    device = choose_device(settings.device)
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    choice = choose(settings.precision, width=model.backbone.width, device=device)
    training = Training(Objective(model, task, regularizers), data, settings=settings, choice=choice, device=device)
    every = Duration.parse(settings.evaluate_every or "1 epoch")
    best: dict[str, Tensor] = {}
    try:
        yield training.started()
        reason = "finished"
        while True:
            progress = training.progress
            over = progress.finished(training.length)
            unjudged = evaluate is not None and progress.evaluated_step != progress.step
            if evaluate is not None and unjudged and (over or progress.evaluation_due(every)):
                judged = training.evaluate(evaluate)
                if judged.best:
                    best = {name: value.clone() for name, value in training.weights().items()}
                yield judged
            if over:
                break
            if settings.patience is not None and progress.worse >= settings.patience:
                reason = "patience"
                break
            yield training.step()
        if best:
            training.optimizer.adopt(best)
    finally:
        training.form.undo()
    progress = training.progress
    yield Stopped(
        step=progress.step,
        epoch=progress.epochs,
        reason=reason,
        best_score=progress.best_score,
        best_step=progress.best_step if best else None,
        tokens=progress.tokens,
        seconds=progress.seconds,
    )
