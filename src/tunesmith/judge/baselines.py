"""What anyone could have done without a model, on the same rows: a score means nothing until it stands beside these.

spans        all_outside, dictionary
labels       majority, tfidf_logistic
joint        majority_outside, tfidf_dictionary: the two above as one answer
multilabel   majority, tfidf_logistic
paths        majority, tfidf_logistic over whole paths
scores       mean, tfidf_cosine for pairs, tfidf_ridge for single texts
ranking      random, popular, bm25
texts        frequent_answer, nearest_answer
answers      no_answer where the training rows have such, most_similar_sentence
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tunesmith.core.errors import UsageError
from tunesmith.core.example import Document, Example, LabelAndSpans
from tunesmith.core.prediction import LabelAndScoredSpans, Prediction, ScoredSpan
from tunesmith.judge import entity_dictionary, tfidf, written_baselines
from tunesmith.judge.forms import KINDS, TREE
from tunesmith.judge.path_baselines import path_baselines
from tunesmith.judge.ranked_baselines import ranked_baselines

MOST_ROWS = 40_000
"""Baselines learn from at most so many training rows, evenly spaced, so that they never cost more than the model."""


def baselines(
    kind: str, train: Sequence[Example], test: Sequence[Example], *, documents: Sequence[Document] = ()
) -> dict[str, list[Prediction]]:
    """The predictions of every baseline that suits the task, by name, in the order of `test`.

    `documents` are what questions are answered with, where the task ranks them.

    A baseline that the training rows do not allow (one class only, no entity) is left out, the simplest never is.

    Raises:
        UsageError: a kind without baselines.
    """
    if kind not in KINDS:
        raise UsageError(f"no baselines for {kind!r}", code="TS-JUDGE-003", fix=f"choose one of: {', '.join(KINDS)}.")
    if documents:
        return ranked_baselines(train, test, documents)
    learned = [example for example in thinned(train) if example.gold is not None]
    golds = [example.gold for example in learned]
    if kind == "token_classification":
        return _for_spans(learned, test)
    if kind == "joint_classification":
        return _for_both(learned, test)
    if kind == "generation":
        return written_baselines.for_texts(learned, test)
    if kind == "extractive_qa":
        return written_baselines.for_answers(learned, test)
    if kind == TREE:
        return path_baselines(learned, test)
    if golds and all(isinstance(gold, int | float) for gold in golds):
        return _for_scores(learned, test)
    if golds and all(isinstance(gold, tuple) for gold in golds):
        return _for_label_sets(learned, test)
    return _for_labels(learned, test)


def thinned(train: Sequence[Example]) -> Sequence[Example]:
    """At most `MOST_ROWS` rows, evenly spaced."""
    if len(train) <= MOST_ROWS:
        return train
    return [train[int(index)] for index in np.linspace(0, len(train) - 1, MOST_ROWS)]


def _for_spans(train: Sequence[Example], test: Sequence[Example]) -> dict[str, list[Prediction]]:
    found = {"all_outside": [Prediction.about(example, ()) for example in test]}
    names = entity_dictionary.learn(train)
    if names:
        found["dictionary"] = [Prediction.about(example, entity_dictionary.find(names, example)) for example in test]
    return found


def _for_labels(train: Sequence[Example], test: Sequence[Example]) -> dict[str, list[Prediction]]:
    labels = [str(example.gold) for example in train]
    counts = Counter(labels)
    if not counts:
        return {}
    # Equally frequent labels: the first of the alphabet, so that the answer does not depend on the order of the rows.
    majority = min(counts, key=lambda label: (-counts[label], label))
    shares = {label: count / len(labels) for label, count in sorted(counts.items())}
    found = {"majority": [Prediction.about(e, majority, scores=shares, confidence=shares[majority]) for e in test]}
    if len(counts) > 1 and test:
        scored = tfidf.class_scores(train, labels, test)
        best = [max(scores, key=lambda label: scores[label]) for scores in scored]
        found["tfidf_logistic"] = [
            Prediction.about(example, label, scores=scores, confidence=scores[label])
            for example, label, scores in zip(test, best, scored, strict=True)
        ]
    return found


def _for_both(train: Sequence[Example], test: Sequence[Example]) -> dict[str, list[Prediction]]:
    """The baselines of labels beside those of entities, one answer from the two of equal effort."""
    golds = [example.gold for example in train if isinstance(example.gold, LabelAndSpans)]
    of_label = _for_labels([replace(e, gold=gold.label) for e, gold in zip(train, golds, strict=True)], test)
    of_spans = _for_spans([replace(e, gold=gold.spans) for e, gold in zip(train, golds, strict=True)], test)
    pairs = {"majority_outside": ("majority", "all_outside"), "tfidf_dictionary": ("tfidf_logistic", "dictionary")}
    return {
        name: [_both(*answers) for answers in zip(of_label[label], of_spans[spans], strict=True)]
        for name, (label, spans) in pairs.items()
        if label in of_label and spans in of_spans
    }


def _both(label: Prediction, entities: Prediction) -> Prediction:
    found = entities.predicted if isinstance(entities.predicted, tuple) else ()
    spans = tuple(item for item in found if isinstance(item, ScoredSpan))
    return replace(label, predicted=LabelAndScoredSpans(str(label.predicted), spans))


def _for_label_sets(train: Sequence[Example], test: Sequence[Example]) -> dict[str, list[Prediction]]:
    sets = [tuple(str(label) for label in example.gold) for example in train if isinstance(example.gold, tuple)]
    counts = Counter(label for labels in sets for label in set(labels))
    if not counts:
        return {"majority": [Prediction.about(example, ()) for example in test]}
    shares = {label: count / len(sets) for label, count in sorted(counts.items())}
    frequent = tuple(label for label, share in shares.items() if share >= 0.5)
    majority = frequent or (min(counts, key=lambda label: (-counts[label], label)),)
    found = {"majority": [Prediction.about(example, majority, scores=shares) for example in test]}
    if len(counts) > 1 and test:
        scored, threshold = tfidf.label_set_scores(train, sets, test)
        found["tfidf_logistic"] = [
            Prediction.about(
                example, tuple(sorted(label for label, score in scores.items() if score >= threshold)), scores=scores
            )
            for example, scores in zip(test, scored, strict=True)
        ]
    return found


def _for_scores(train: Sequence[Example], test: Sequence[Example]) -> dict[str, list[Prediction]]:
    golds = [float(example.gold) for example in train if isinstance(example.gold, int | float)]
    mean = float(np.mean(golds))
    found = {"mean": [Prediction.about(example, mean) for example in test]}
    if test and all(example.pair is None for example in test):
        scores = tfidf.regressed(train, golds, test)
        found["tfidf_ridge"] = [Prediction.about(example, score) for example, score in zip(test, scores, strict=True)]
    elif test:
        scores = tfidf.similarities(train, golds, test)
        found["tfidf_cosine"] = [Prediction.about(example, score) for example, score in zip(test, scores, strict=True)]
    return found
