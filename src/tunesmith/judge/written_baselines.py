"""Answers without a model: the most frequent one, that to the most similar question, or the most similar sentence."""

import re
from collections import Counter
from collections.abc import Sequence

from tunesmith.core.example import Example
from tunesmith.core.prediction import Prediction, ScoredSpan
from tunesmith.judge import tfidf

_SENTENCE = re.compile(r"\S(?:[^\n]*?(?:[.!?]+(?=\s|$)|[。！？]+)|[^\n]*)")


def for_texts(train: Sequence[Example], test: Sequence[Example]) -> dict[str, list[Prediction]]:
    """`frequent_answer`, and `nearest_answer`: that of the training row whose question is most alike by TF-IDF.

    Where a training row has several references, its first one is its answer.
    """
    answered = [(example, answer) for example in train if (answer := _answer(example)) is not None]
    counts = Counter(answer for _, answer in answered)
    if not counts:
        return {}
    # Equally frequent answers: the first of the alphabet, so that the answer does not depend on the order of the rows.
    frequent = min(counts, key=lambda answer: (-counts[answer], answer))
    found = {"frequent_answer": [Prediction.about(example, frequent) for example in test]}
    if any(example.text.strip() for example, _ in answered):
        places = tfidf.nearest([example for example, _ in answered], test)
        pairs = zip(test, places, strict=True)
        found["nearest_answer"] = [Prediction.about(example, answered[place][1]) for example, place in pairs]
    return found


def _answer(example: Example) -> str | None:
    gold = example.gold
    if isinstance(gold, str):
        return gold
    first = gold[0] if isinstance(gold, tuple) and gold else None
    return first if isinstance(first, str) else None


def for_answers(train: Sequence[Example], test: Sequence[Example]) -> dict[str, list[Prediction]]:
    """`no_answer` where some training question has none, and `most_similar_sentence` of the text by TF-IDF."""
    found = {}
    if any(example.gold == () for example in train):
        found["no_answer"] = [Prediction.about(example, ()) for example in test]
    if any(example.text.strip() for example in train):
        borders = [sentences(example.text) for example in test]
        parts = [[example.text[start:end] for start, end in some] for example, some in zip(test, borders, strict=True)]
        places = tfidf.most_similar(train, parts, [example.pair or "" for example in test])
        found["most_similar_sentence"] = [
            Prediction.about(example, (ScoredSpan(*some[place], "answer", 1.0),))
            for example, some, place in zip(test, borders, places, strict=True)
        ]
    return found


def sentences(text: str) -> list[tuple[int, int]]:
    """Start and end of each sentence, without blanks around it; the whole of a text that has none."""
    return [match.span() for match in _SENTENCE.finditer(text)] or [(0, len(text))]
