"""From probabilities to predictions, for tasks whose answer is a label, several labels or a score of a whole text."""

from collections.abc import Sequence

import torch
from torch import Tensor

from tunesmith.core.example import Example
from tunesmith.core.prediction import Prediction
from tunesmith.tasks._labels import as_one, as_set


def label_predictions(
    examples: Sequence[Example], probabilities: Tensor, labels: Sequence[str], *, truncated: Sequence[int]
) -> list[Prediction]:
    """The likeliest label of each example, from probabilities [E, C]; `truncated` [E] characters were never seen."""
    best = probabilities.argmax(-1).tolist()
    found = []
    for example, row, index, cut in zip(examples, probabilities.tolist(), best, truncated, strict=True):
        scores = dict(zip(labels, row, strict=True))
        found.append(
            Prediction.about(as_one(example), labels[index], confidence=row[index], scores=scores, truncated=cut)
        )
    return found


def label_set_predictions(
    examples: Sequence[Example], probabilities: Tensor, labels: Sequence[str], *, thresholds: Sequence[float] | None
) -> list[Prediction]:
    """Every label whose probability reaches its threshold (0.5 without any), from probabilities [E, C]."""
    limits = probabilities.new_tensor([0.5] * len(labels) if thresholds is None else list(thresholds))
    given = probabilities >= limits
    surest = torch.where(given, probabilities, 1 - probabilities).amin(-1).tolist()
    found = []
    for example, row, chosen, confidence in zip(examples, probabilities.tolist(), given.tolist(), surest, strict=True):
        predicted = tuple(label for label, yes in zip(labels, chosen, strict=True) if yes)
        scores = dict(zip(labels, row, strict=True))
        found.append(Prediction.about(as_set(example), predicted, confidence=confidence, scores=scores))
    return found
