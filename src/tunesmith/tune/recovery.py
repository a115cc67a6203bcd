"""What follows a loss spike: it is told, and where asked to, the run goes back to leave out the batch that caused it.

A spike is seen before anything learns from it. Either the batch is to blame: passing it over now ends in the same bits
as going back to a saved state and passing it over there, since all the rest would be repeated exactly. Or the update
before broke the weights, which shows in the batch that it learnt from: then the run goes back to before that update.
"""

import statistics
from typing import Literal

from tunesmith.tune.events import Spiked
from tunesmith.tune.saver import Saver, continued
from tunesmith.tune.spikes import WINDOW, is_spike
from tunesmith.tune.training import Found, Group, Training

MOST_LEFT_OUT = 10
"""Groups; whose loss still spikes then, has another problem than a batch."""


class Recovery:
    """Looks at each loss before it is learnt from."""

    def __init__(self, training: Training, saver: Saver | None) -> None:
        self.training = training
        self.saver = saver

    def look(self, found: Found) -> Spiked | None:
        """What there is to tell, and to do, about the gradient that was found; None where its loss is as usual."""
        training, losses = self.training, self.training.progress.losses
        if not is_spike(losses, found.loss.loss):
            return None
        usual = statistics.fmean(losses[-WINDOW:])
        before = training.before()
        broken = before is not None and is_spike(losses[:-1], training.loss_of(before))
        cause = before if before is not None and broken else training.upcoming()
        step = training.progress.step + 1
        outcome = self._answer(cause, broken=broken)
        return Spiked(
            step=training.progress.step if outcome == "rolled_back" else step,
            loss=found.loss.loss,
            usual=usual,
            examples=self._examples(cause),
            blame="weights" if broken else "batch",
            outcome=outcome,
        )

    def _answer(self, cause: Group, *, broken: bool) -> Literal["learnt", "left_out", "rolled_back", "no_state"]:
        training = self.training
        left_out = training.progress.left_out
        if training.settings.on_spike == "report" or len(left_out) >= MOST_LEFT_OUT:
            return "learnt"
        if broken:
            state = self.saver.back_to(training.progress.step) if self.saver else None
            if state is None:
                return "no_state"
            continued(training, state)
            training.progress.left_out = left_out
        training.leave_out(cause)
        return "rolled_back" if broken else "left_out"

    def _examples(self, group: Group) -> tuple[str, ...]:
        data = self.training.data
        return tuple(data.ids[data.encodings[index].example] for batch in group.batches for index in batch)
