"""Decision thresholds for several labels, chosen on predictions for rows that were not learnt from.

For each label the threshold that maximises its F1; a label seen fewer than `fewest` times gets the threshold that
maximises F1 over all decisions together, since a few rows say too little about it. A threshold lies half-way between
the two probabilities it separates. Source: Lipton, Elkan & Narayanaswamy 2014, Optimal thresholding to maximize F1.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.prediction import Prediction


def tuned_thresholds(predictions: Sequence[Prediction], labels: Sequence[str], *, fewest: int = 5) -> list[float]:
    """One threshold in (0, 1) per label, from predictions with `scores` and a tuple of labels as gold.

    Predictions without gold are left out; without any left every threshold is 0.5.
    """
    judged = [prediction for prediction in predictions if isinstance(prediction.gold, tuple)]
    if not judged:
        return [0.5] * len(labels)
    scores = np.array([[prediction.scores[label] for label in labels] for prediction in judged])
    gold = np.array([[label in _names(prediction) for label in labels] for prediction in judged])
    shared = best_threshold(scores.ravel(), gold.ravel())
    return [
        best_threshold(scores[:, column], gold[:, column]) if gold[:, column].sum() >= fewest else shared
        for column in range(len(labels))
    ]


def best_threshold(scores: NDArray[np.float64], gold: NDArray[np.bool_]) -> float:
    """The threshold t for which the answers `scores >= t` have the highest F1; 0.5 where nothing is gold.

    Among equals the one that gives the label least often. `scores` and `gold` are [n].
    """
    if not gold.any():
        return 0.5
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    given = np.arange(1, len(ranked) + 1)
    f1 = 2 * np.cumsum(gold[order]) / (given + gold.sum())
    below = np.append(ranked[1:], 0.0)
    f1[ranked == below] = -1.0  # equal probabilities cannot be told apart by a threshold
    best = int(f1.argmax())
    return float((ranked[best] + below[best]) / 2) or 0.5  # 0 where every probability is: no threshold parts them


def _names(prediction: Prediction) -> set[object]:
    return set(prediction.gold) if isinstance(prediction.gold, tuple) else set()
