"""Label smoothing: a share of the probability that a label claims is spread evenly over all classes.

    loss + weight * term = (1 - weight) CE(y) + weight CE(uniform)
    term = sum over places of [ CE(uniform) - CE(y) ]

With several labels per text, CE is the mean binary cross-entropy and uniform means present with probability 1/2.

When to use it: noisy labels, or confidences that are too high. Not together with distillation.
Cost: none worth naming; no forward pass, no parameters.
Relations: r_drop asks for agreement between two passes, this for modesty in one. Beside focal loss or class weights the
term is the plain one; under a CRF it smooths the emissions.
Reference: Szegedy et al. 2016, Rethinking the Inception architecture; Müller et al. 2019, When does label smoothing
help?
"""

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from tunesmith.core.errors import ConfigError, Place
from tunesmith.core.regularizer import Regularizer, Step


def class_excess(logits: Tensor, targets: Tensor) -> Tensor:
    """CE(uniform) - CE(y) at each place, [M], from logits [M, C] and class indices [M]."""
    log_p = F.log_softmax(logits, -1, dtype=torch.promote_types(logits.dtype, torch.float32))
    return log_p.gather(-1, targets[:, None]).squeeze(-1) - log_p.mean(-1)


def label_set_excess(logits: Tensor, targets: Tensor) -> Tensor:
    """The same for the mean binary cross-entropy over C labels, from logits and 0/1 targets, both [M, C].

    log p(present) - log p(absent) is the logit itself, so the difference is (y - 1/2) logit.
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return ((targets - 0.5) * logits).mean(-1)


class LabelSmoothing(Regularizer):
    """The difference between smoothed and plain cross-entropy; `weight` is the share that is spread evenly."""

    weight: float = Field(default=0.1, ge=0.0, lt=1.0)
    """The share of each label's probability that is spread evenly over all classes."""

    def term(self, step: Step) -> Tensor:
        """The weighted SUM over the places.

        Raises:
            ConfigError: the task answers with a score, which has no classes.
        """
        targets = step.batch.targets
        assert targets is not None, "training needs gold"
        scores = step.task.scores(step.output, step.batch)
        if targets.dim() == 1 and targets.is_floating_point():
            raise ConfigError(
                "a score has no classes to smooth over",
                code="TS-TUNE-040",
                place=Place(key="regularizers"),
                fix='leave out kind = "label_smoothing".',
            )
        excess = label_set_excess(scores, targets) if targets.dim() == 2 else class_excess(scores, targets)
        return (step.batch.weight * excess).sum()
