"""Losses and divergences of one place at a time, unreduced: whoever calls weighs and sums them.

    classes      -(1 - p_y)^gamma log p_y                            p = softmax(logits)
    label sets   mean over the classes of the same for y and not y   p = sigmoid(logits)

gamma = 0 is plain cross-entropy. Source: Lin et al. 2017, Focal loss; balanced weights as scikit-learn has them.
Shapes: M places, C classes. All results are fp32, or fp64 where the logits are.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

_FLOOR = 1e-6
"""Below it 1 - p counts as constant: a power under 1 has no finite slope at 0."""


def at_least_fp32(logits: Tensor) -> Tensor:
    """The same numbers in a type that a sum of logarithms can be trusted to."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def class_losses(
    logits: Tensor, targets: Tensor, *, gamma: float = 0.0, class_weights: Sequence[float] | None = None
) -> Tensor:
    """[M, C] and class indices [M] to losses [M], each times the weight of its class."""
    losses = _focal(F.cross_entropy(at_least_fp32(logits), targets, reduction="none"), gamma)
    return losses if class_weights is None else losses * losses.new_tensor(class_weights)[targets]


def label_set_losses(
    logits: Tensor, targets: Tensor, *, gamma: float = 0.0, positive_weights: Sequence[float] | None = None
) -> Tensor:
    """[M, C] and 0/1 targets [M, C] to losses [M]; a label that is present counts as often as its weight says."""
    logits = at_least_fp32(logits)
    targets = targets.to(logits.dtype)
    losses = _focal(F.binary_cross_entropy_with_logits(logits, targets, reduction="none"), gamma)
    if positive_weights is not None:
        losses = losses * (1 + targets * (losses.new_tensor(positive_weights) - 1))
    return losses.mean(-1)


def _focal(losses: Tensor, gamma: float) -> Tensor:
    """`losses` are -log p of what is right."""
    return losses * (1 - torch.exp(-losses)).clamp(min=_FLOOR) ** gamma if gamma else losses


def bernoulli_divergence(first: Tensor, second: Tensor) -> Tensor:
    """KL(first || second) of each label being present, mean over the labels: logits [M, C] twice to [M]."""
    first, second = at_least_fp32(first), at_least_fp32(second)
    p = torch.sigmoid(first)
    present = p * (F.logsigmoid(first) - F.logsigmoid(second))
    absent = (1 - p) * (F.logsigmoid(-first) - F.logsigmoid(-second))
    return (present + absent).mean(-1)


def class_excess(logits: Tensor, targets: Tensor) -> Tensor:
    """CE(uniform) - CE(y) at each place, [M], from logits [M, C] and class indices [M]."""
    log_p = F.log_softmax(at_least_fp32(logits), -1)
    return log_p.gather(-1, targets[:, None]).squeeze(-1) - log_p.mean(-1)


def label_set_excess(logits: Tensor, targets: Tensor) -> Tensor:
    """The same for the mean binary cross-entropy over C labels, from logits and 0/1 targets, both [M, C].

    log p(present) - log p(absent) is the logit itself, so the difference is (y - 1/2) logit.
    """
    logits = at_least_fp32(logits)
    return ((targets - 0.5) * logits).mean(-1)


def balanced_class_weights(counts: Sequence[int]) -> list[float]:
    """n / (C n_c): every class weighs the same in all, and the mean weight of an example is 1.

    `counts` are the training examples of each class, all above 0.
    """
    total = sum(counts)
    return [total / (len(counts) * count) for count in counts]


def balanced_positive_weights(counts: Sequence[int], examples: int) -> list[float]:
    """(n - n_c) / n_c: for every label, its presence weighs as much in all as its absence. `counts` are above 0."""
    return [max(examples - count, 1) / count for count in counts]
