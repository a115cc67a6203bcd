"""The contract of a regularizer: one more term of the loss, as a sum with a count.

Laws, met by every kind (tests/laws): weight 0 equals absent; the gradient does not depend on how a batch is cut;
the gradient equals a finite difference.
"""

from abc import abstractmethod
from dataclasses import dataclass

from torch import Tensor

from tunesmith.core.batch import Batch
from tunesmith.core.component import Component
from tunesmith.core.model import Model, Output
from tunesmith.core.task import Task


@dataclass(frozen=True, slots=True)
class Step:
    """What a regularizer may look at: one micro-batch and what the model said about it. It may call the model again."""

    model: Model
    task: Task
    batch: Batch
    output: Output


class Regularizer(Component):
    """`total = task loss / count + sum of weight * term / count`; only the loop divides."""

    weight: float = 1.0
    """How much the term counts beside the task's loss."""

    def count(self, step: Step) -> float:
        """What the summed term is divided by over an accumulation group.

        Asked before the forward pass, while `step.output` is empty: only the batch may be looked at.
        """
        return step.task.count(step.batch)

    @abstractmethod
    def term(self, step: Step) -> Tensor:
        """The SUM over what `count` counts."""
