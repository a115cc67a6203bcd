"""R-Drop: two passes of one batch through dropout should agree.

    term = sum over places of [ KL(p || q) + KL(q || p) ] / 2

When to use it: small labelled sets and dropout above zero; without dropout the term is exactly 0.
Cost: one more forward pass per batch, no parameters.
Relations: label_smoothing asks for modesty in one pass, this for agreement between two. What a divergence is, the task
says: of classes, of each label of a set, or of scores.
Reference: Liang et al. 2021, R-Drop: Regularized Dropout for Neural Networks.
"""

from pydantic import Field
from torch import Tensor

from tunesmith.core.regularizer import Regularizer, Step


class RDrop(Regularizer):
    """The symmetric divergence between the answers of two dropout masks."""

    weight: float = Field(default=0.5, ge=0.0)
    """How much disagreement counts beside the task's loss."""

    def term(self, step: Step) -> Tensor:
        """The weighted SUM over the places."""
        first = step.task.scores(step.output, step.batch)  # [M, C]
        second = step.task.scores(step.model(step.batch), step.batch)  # [M, C]
        forth, back = step.task.divergence(first, second), step.task.divergence(second, first)  # [M] each
        return (step.batch.weight * (forth + back)).sum() / 2
