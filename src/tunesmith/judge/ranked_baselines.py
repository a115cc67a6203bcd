"""What ranks documents without a model: words in common, what is asked for most, and chance."""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from tunesmith.core.example import Document, Example, Relevant
from tunesmith.core.prediction import Prediction, Ranked
from tunesmith.judge.bm25 import BM25
from tunesmith.judge.intervals import key_of
from tunesmith.judge.metrics.counts import Floats
from tunesmith.judge.metrics.ranking import DEPTH


def ranked_baselines(
    train: Sequence[Example], test: Sequence[Example], documents: Sequence[Document]
) -> dict[str, list[Prediction]]:
    """`random`, `popular` and `bm25`, in the order of the questions `test`; gold is `Relevant` documents.

    `popular` gives every question the documents that answer most training questions. The scores are those of each
    baseline, not cosines.
    """
    asked = Counter(item.id for example in train for item in _relevant(example))
    often = np.array([float(asked[document.id]) for document in documents])
    index = BM25([document.text for document in documents])
    scorers: dict[str, Callable[[Example], Floats]] = {
        "random": lambda example: np.random.RandomState(key_of(example.id, 0) % 2**32).rand(len(documents)),
        "popular": lambda example: often,
        "bm25": lambda example: index.scores(example.text),
    }
    return {
        name: [Prediction.about(example, _best(scores(example), documents)) for example in test]
        for name, scores in scorers.items()
    }


def _best(scores: Floats, documents: Sequence[Document]) -> tuple[Ranked, ...]:
    """The ten highest; among equals the first of the collection."""
    order = np.argsort(-scores, kind="stable")[:DEPTH]
    return tuple(Ranked(documents[i].id, documents[i].text, float(scores[i])) for i in order)


def _relevant(example: Example) -> list[Relevant]:
    return [item for item in example.gold if isinstance(item, Relevant)] if isinstance(example.gold, tuple) else []
