"""A run and what its method wants beside the updates: nothing happens here for a method without a guide."""

from collections.abc import Mapping

from torch import Tensor

from tunesmith.core.method import Guide
from tunesmith.tune.form import TrainingForm
from tunesmith.tune.optimizers import AdamW


class Guidance:
    """Calls the guide where its time is."""

    def __init__(self, guide: Guide | None, form: TrainingForm, optimizer: AdamW) -> None:
        self._guide = guide
        self._form = form
        self._optimizer = optimizer

    @property
    def notes(self) -> tuple[str, ...]:
        """What it does, for the start of a run."""
        return (self._guide.describe(),) if self._guide else ()

    def wake(self, epoch: int) -> None:
        """Let those parameters learn whose time has come."""
        resting = self._guide.resting(epoch) if self._guide else frozenset()
        for name, parameter in self._form.parameters.items():
            parameter.requires_grad_(name not in resting)

    def pull(self) -> None:
        """Add gradients of terms that are in no loss."""
        if self._guide:
            self._optimizer.add(self._guide.pull(self._optimizer.masters))

    def look(self, taken: Mapping[str, Tensor], *, done: float) -> None:
        """Show what an update left and the gradients it took, at `done` of the run, and let it be changed."""
        if self._guide and self._guide.after_update(self._optimizer.masters, taken, done=done):
            self._optimizer.publish()

    def close(self) -> None:
        """Leave all that may learn as it came."""
        for parameter in self._form.parameters.values():
            parameter.requires_grad_(True)
