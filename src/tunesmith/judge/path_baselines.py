"""What anyone could answer from a tree of labels: the most frequent label, and a flat classifier of whole labels.

Either answers a whole path that training rows have, with the probability of each node on it summed from those of the
labels below.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from tunesmith.core.example import Example, Node
from tunesmith.core.prediction import Prediction, ScoredNode
from tunesmith.judge import tfidf


def path_baselines(train: Sequence[Example], test: Sequence[Example]) -> dict[str, list[Prediction]]:
    """By name, the answers to `test` in its order; the gold of `train` is nodes. Nothing where no row has any."""
    ways = [tuple(item.label for item in e.gold if isinstance(item, Node)) for e in train if isinstance(e.gold, tuple)]
    known = {way[-1]: way for way in ways if way}
    labels = [way[-1] for way in ways]
    counts = Counter(labels)
    if not counts:
        return {}
    shares = {label: count / len(labels) for label, count in sorted(counts.items())}
    found = {"majority": [_likeliest(example, shares, known) for example in test]}
    if len(counts) > 1 and test:
        scored = tfidf.class_scores(train, labels, test)
        found["tfidf_logistic"] = [_likeliest(e, scores, known) for e, scores in zip(test, scored, strict=True)]
    return found


def _likeliest(example: Example, shares: Mapping[str, float], known: Mapping[str, tuple[str, ...]]) -> Prediction:
    """The likeliest label, the first of the alphabet among equals, with every node's probability."""
    best = min(shares, key=lambda label: (-shares[label], label))
    nodes: Counter[str] = Counter()
    for label, share in shares.items():
        for node in known[label]:
            nodes[node] += share  # type: ignore[assignment]  # a share where others count
    answer = tuple(ScoredNode(node, nodes[node]) for node in known[best])
    return Prediction.about(example, answer, confidence=answer[-1].confidence, scores=dict(nodes))
