"""From scores of units to entities with a confidence.

The confidence of an entity is the mean over its units of p(its tag | text): unlike the product it does not fall with
the length of the entity.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.prediction import ScoredSpan
from tunesmith.prepare.alignment import Unit
from tunesmith.tasks._decoding import best_tags, certainty, entities
from tunesmith.tasks._tags import TagSet


def scored_spans(
    units: Sequence[Sequence[Unit]],
    scores: NDArray[np.float64],
    tags: TagSet,
    *,
    labels: Sequence[str],
    transitions: NDArray[np.float64] | None = None,
) -> list[tuple[ScoredSpan, ...]]:
    """The entities of every text in order.

    Args:
        units: characters of the units of each text.
        scores: [N, C] of all units laid end to end.
        tags: the C tags.
        labels: the labels that `tags` counts.
        transitions: [C, C] learned scores, where a CRF was trained.
    """
    lengths = np.array([len(own) for own in units], dtype=np.int64)
    path = best_tags(scores, lengths, tags, transitions=transitions)
    firsts, lasts = entities(path, lengths, tags)
    sure = np.zeros(len(path))
    if len(firsts):  # most texts of a service hold no entity: then nothing needs a probability
        posterior = certainty(scores, lengths, tags, transitions=transitions)
        sure = posterior[np.arange(len(path)), path]
    confidence = _means(sure, firsts, lasts)
    owner = np.repeat(np.arange(len(units)), lengths)
    starts = np.cumsum(lengths) - lengths
    found: list[list[ScoredSpan]] = [[] for _ in units]
    rows = zip(firsts.tolist(), lasts.tolist(), tags.label[path[firsts]].tolist(), confidence.tolist(), strict=True)
    for first, last, label, mean in rows:
        text = owner[first]
        own, start = units[text], starts[text]
        span = ScoredSpan(own[first - start][0], own[last - start][1], labels[label], mean)
        found[text].append(span)
    return [tuple(spans) for spans in found]


def _means(values: NDArray[np.float64], firsts: NDArray[np.int64], lasts: NDArray[np.int64]) -> NDArray[np.float64]:
    """The mean of `values` [N] from each first to each last row, both included."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    return np.asarray((sums[lasts + 1] - sums[firsts]) / (lasts + 1 - firsts)).clip(0.0, 1.0)
