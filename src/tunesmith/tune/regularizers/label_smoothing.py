"""Label smoothing: a share of the probability that a label claims is spread evenly over all classes.

    loss + weight * term = (1 - weight) CE(y) + weight CE(uniform)
    term = sum over places of [ CE(uniform) - CE(y) ]

What uniform means, the task says: any class, each label of a set present with probability 1/2, any token of a window.

When to use it: noisy labels, or confidences that are too high. Not together with distillation.
Cost: none worth naming; no forward pass, no parameters.
Relations: r_drop asks for agreement between two passes, this for modesty in one. Beside focal loss or class weights the
term is the plain one; under a CRF it smooths the emissions.
Reference: Szegedy et al. 2016, Rethinking the Inception architecture; Müller et al. 2019, When does label smoothing
help?
"""

from pydantic import Field
from torch import Tensor

from tunesmith.core.regularizer import Regularizer, Step


class LabelSmoothing(Regularizer):
    """The difference between smoothed and plain cross-entropy; `weight` is the share that is spread evenly."""

    weight: float = Field(default=0.1, ge=0.0, lt=1.0)
    """The share of each label's probability that is spread evenly over all classes."""

    def term(self, step: Step) -> Tensor:
        """The weighted SUM over the places.

        Raises:
            ConfigError: the task answers with a score, which has no classes.
        """
        scores = step.task.scores(step.output, step.batch)
        return (step.batch.weight * step.task.excess(scores, step.batch)).sum()
