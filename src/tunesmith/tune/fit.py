"""The loop, as a generator: it yields what happened, and the caller logs, draws, tracks and stops.

    for event in fit(objective, data, settings=settings, evaluate=score, keeping=Keeping(folder=checkpoints)):
        match event: ...

Between two steps lies the border where everything else happens, in this order: stop if asked to, evaluate if due,
finish if done, save if due. A run that goes on from a saved state begins at the same border, so it repeats nothing and
leaves nothing out.
"""

from collections.abc import Callable, Generator, Iterator

import torch
from torch import Tensor

from tunesmith.core.duration import Duration
from tunesmith.core.memory import no_kernel, ran_out
from tunesmith.core.model import Model
from tunesmith.models.precision import Choice
from tunesmith.tune.checkpoint import Keeping
from tunesmith.tune.data import TrainingData as TrainingData  # a caller of `fit` needs both
from tunesmith.tune.events import Evaluated, Stopped, TuneEvent
from tunesmith.tune.gradient import Objective as Objective  # and this
from tunesmith.tune.precision import choose, choose_device, require
from tunesmith.tune.recovery import Recovery
from tunesmith.tune.saver import Saver, continued
from tunesmith.tune.settings import TrainSettings
from tunesmith.tune.training import Found, Training

Evaluate = Callable[[Model], float]
"""Scores the model. It may look at the wish to stop now and then, and raise `CutShort` where there is one."""


class CutShort(Exception):  # not an error: what was cut short is done anew when the run goes on
    """An evaluation ended half-way, because the run is asked to stop."""


def fit(
    objective: Objective,
    data: TrainingData,
    *,
    settings: TrainSettings,
    evaluate: Evaluate | None = None,
    keeping: Keeping | None = None,
) -> Iterator[TuneEvent]:
    """Train the objective's model in place. When the generator ends, the model is in fp32 on the device it came from.

    With `evaluate` the model ends with the weights of the best score, else with the last ones. Closing the generator
    between two events saves like `keeping.should_stop` does.

    A batch that memory does not hold is cut smaller, which the event `Halved` tells.

    Raises:
        MemoryLimitError: memory does not hold a single window.
        ConfigError: no learning rate, a device or precision that is not there, or a state of another configuration.
        DataError: the state to go on from learnt from other data.
        NumericsError: a loss or gradient is not finite; nothing was updated by that step.
        StorageError: a state could not be written; earlier ones are whole.
    """
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    training = _prepared(objective, data, settings, keeping)
    try:
        notes = continued(training, keeping.resume) if keeping and keeping.resume else ()
        loop = _Loop(training, evaluate, keeping)
        yield training.started(notes)
        try:
            yield from loop.events()
        except GeneratorExit:
            loop.save_if_stale()
            raise
        loop.take_best()
    finally:
        training.close()
    yield loop.stopped()


def _prepared(objective: Objective, data: TrainingData, settings: TrainSettings, keeping: Keeping | None) -> Training:
    """The training before its first step. A state's choice of precision is kept, whatever a probe would say now."""
    device = choose_device(settings.device)
    if keeping and keeping.resume:
        choice = Choice(**keeping.resume.record["precision"])
        require(choice.precision, device)
    else:
        choice = choose(settings.precision, width=objective.model.backbone.width, device=device)
    return Training(objective, data, settings=settings, choice=choice, device=device)


class _Loop:
    """What happens at the borders between steps."""

    def __init__(self, training: Training, evaluate: Evaluate | None, keeping: Keeping | None) -> None:
        self.training = training
        self.evaluate = evaluate
        self.keeping = keeping
        self.saver = Saver(training, keeping) if keeping else None
        self.recovery = Recovery(training, self.saver)
        self.every = Duration.parse(training.settings.evaluate_every or "1 epoch", key="train.evaluate_every")
        self.reason = "finished"
        self._best: dict[str, Tensor] = {}

    def events(self) -> Iterator[TuneEvent]:
        """Steps with their borders until there is a reason to end, which is left in `reason`."""
        training = self.training
        while True:
            progress = training.progress  # another one after the run went back
            if self.keeping and self.saver and (wish := self.keeping.should_stop()):
                self.reason = wish
                if self.saver.needed:
                    yield self.saver.save()
                return
            over = progress.finished(training.length)
            if self.evaluate and self._evaluation_due(over):
                judged = self._judged(self.evaluate)
                if judged is None:
                    continue  # the wish is granted above
                yield judged
            patience = training.settings.patience
            if over or (patience is not None and progress.worse >= patience):
                self.reason = "finished" if over else "patience"
                if self.saver and self.saver.needed and progress.step:  # judging may be stopped too: it needs a state
                    yield self.saver.save()
                return
            if self.saver and self.saver.due():
                yield self.saver.save()
            yield from self._stepped()

    def _stepped(self) -> Iterator[TuneEvent]:
        """One update, unless the loss spiked and its batch is left out."""
        found = yield from self._gradient()
        if spiked := self.recovery.look(found):
            yield spiked
            if spiked.outcome == "rolled_back" and self.saver:
                yield self.saver.save()  # so that a run that is killed now remembers what to leave out
            if spiked.outcome in ("left_out", "rolled_back"):
                return
        yield self.training.update(found)

    def _gradient(self) -> Generator[TuneEvent, None, Found]:
        """The gradient of the next group, its batches cut smaller until memory holds them."""
        while True:
            try:
                return self.training.gradient()
            except (MemoryError, RuntimeError) as error:
                if not ran_out(error):
                    raise
                broken = no_kernel(error)
            # Not until the error is gone, whose frames hold the tensors of the pass.
            yield self.training.halve(broken=broken)

    def _evaluation_due(self, over: bool) -> bool:
        progress = self.training.progress
        return progress.evaluated_step != progress.step and (over or progress.evaluation_due(self.every))

    def _judged(self, evaluate: Evaluate) -> Evaluated | None:
        try:
            judged = self.training.evaluate(evaluate)
        except CutShort:
            return None
        if judged.best and self.saver:
            self.saver.save_best()
        elif judged.best:
            self._best = {name: value.clone() for name, value in self.training.optimizer.masters.items()}
        return judged

    def save_if_stale(self) -> None:
        """Save unless the last step is saved already."""
        if self.saver and self.saver.needed:
            self.saver.save()

    def take_best(self) -> None:
        """Put the weights of the best score into the model of a complete run."""
        progress = self.training.progress
        if self.interrupted or progress.best_step in (None, progress.step):
            return
        step = progress.best_step or 0
        self.training.take(self.saver.load_best(step) if self.saver else self._best)

    @property
    def interrupted(self) -> bool:
        """Whether the run ended because it was asked to."""
        return self.reason not in ("finished", "patience")

    def stopped(self) -> Stopped:
        """The last event."""
        progress = self.training.progress
        return Stopped(
            step=progress.step,
            epoch=progress.epochs,
            reason=self.reason,
            best_score=progress.best_score,
            best_step=None if self.interrupted else progress.best_step,
            tokens=progress.tokens,
            seconds=progress.seconds,
        )
