"""What follows a loss spike: it is told, and where asked to, the run goes back to leave out the batch that caused it.

A spike is seen before anything learns from it. Either the batch is to blame: passing it over now ends in the same bits
as going back to a saved state and passing it over there, since all the rest would be repeated exactly. Or the update
before broke the weights, which shows in the batch that it learnt from: then the run goes back to before that update.
"""

import statistics

from tunesmith.tune.events import Blame, Outcome, Spiked
from tunesmith.tune.saver import Saver, continued
from tunesmith.tune.spikes import WINDOW, broke_weights, is_spike
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
        before, cause = training.before(), training.upcoming()
        blame: Blame = "batch"
        if before is not None and broke_weights(
            found.loss.loss, then=losses[-1], now=training.loss_again(before), usual=usual
        ):
            cause, blame = before, "weights"
        step = training.progress.step + 1
        outcome = self._answer(cause, blame)
        return Spiked(
            step=training.progress.step if outcome == "rolled_back" else step,
            loss=found.loss.loss,
            usual=usual,
            examples=self._examples(cause),
            blame=blame,
            outcome=outcome,
        )

    def _answer(self, cause: Group, blame: Blame) -> Outcome:
        training = self.training
        left_out = training.progress.left_out
        if training.settings.on_spike == "report":
            return "learnt"
        if len(left_out) >= MOST_LEFT_OUT:
            return "too_many"
        if blame == "weights":
            state = self.saver.back_to(training.progress.step) if self.saver else None
            if state is None:
                return "no_state"
            continued(training, state)
            training.progress.left_out = left_out
        training.leave_out(cause)
        return "rolled_back" if blame == "weights" else "left_out"

    def _examples(self, group: Group) -> tuple[str, ...]:
        data = self.training.data
        return tuple(data.ids[data.encodings[index].example] for batch in group.batches for index in batch)
