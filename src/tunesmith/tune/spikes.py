"""Loss spikes: batches whose loss lies far above what is usual at that point of a run, and what to blame for one.

    loss > mean + 6 sd   and   loss > 1.5 mean,   over the last 32 updates

The second condition is for losses that hardly differ. Fine-tuning is short, so the window is too: among the 128 updates
of pretraining the high losses of the beginning would hide a spike for longer than many runs last.

Either the batch is to blame, or the update before it broke the weights. This is read off the batch that the update
learnt from: its loss then, and its loss now under the same draws of dropout, so that nothing but the weights differs.

    weights, where   now > mean   and   now / then > loss / now

that is, where its loss lies nearer to the spike than to what it was. Without dropout it would not do: weights that are
far too large may answer everything right until something is dropped.
Source: OLMo-core's SkipStepOptimizer (6 standard deviations over 128 losses, before the update).
"""

import statistics
from collections.abc import Sequence

WINDOW = 32
FEWEST = 16
"""Losses without which nothing is called usual."""
DEVIATIONS = 6.0
RISE = 1.5


def is_spike(losses: Sequence[float], loss: float) -> bool:
    """Whether a loss lies far above the last ones."""
    recent = losses[-WINDOW:]
    if len(recent) < FEWEST:
        return False
    mean = statistics.fmean(recent)
    return loss > mean + DEVIATIONS * statistics.pstdev(recent) and loss > RISE * mean


def broke_weights(loss: float, *, then: float, now: float, usual: float) -> bool:
    """Whether the update before a spike explains it, by the loss of the batch that it learnt from."""
    return now > usual and now * now > then * loss
