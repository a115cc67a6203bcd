"""Counting words: TF-IDF with logistic or ridge regression, and the cosine of two texts. Hard to beat on small data.

Words and pairs of words; for texts that are mostly Chinese, Japanese or Korean, runs of one to three characters. Pairs
are described by both texts, by what they share and by how they differ.

scikit-learn is imported where it is used: that takes half a second, which no first training step should wait for.
"""

import re
import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.core.example import Example
from tunesmith.judge.metrics.counts import Floats

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.multiclass import OneVsRestClassifier

_IDEOGRAPH = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7ff]")
_BLOCK = 64  # rows whose cosines with all training rows stand in memory at a time
_LONGEST = 20_000  # characters; a baseline needs no more of a text

Matrix = Any
"""A scipy sparse matrix [n, features]."""


def class_scores(train: Sequence[Example], labels: Sequence[str], test: Sequence[Example]) -> list[dict[str, float]]:
    """The probability of every label for each test row, from one-vs-rest logistic regression."""
    features = _Features(train)
    model = _fitted(features.of(train), labels)
    return _as_scores(model.classes_, model.predict_proba(features.of(test)))


def label_set_scores(
    train: Sequence[Example], sets: Sequence[Sequence[str]], test: Sequence[Example]
) -> tuple[list[dict[str, float]], float]:
    """The probability of every label for each test row, and the threshold that served best on a fifth held out."""
    from sklearn.preprocessing import MultiLabelBinarizer

    features = _Features(train)
    known = features.of(train)
    binarizer = MultiLabelBinarizer()
    wanted = binarizer.fit_transform(sets)
    threshold = _best_threshold(known, wanted)
    model = _fitted(known, wanted)
    return _as_scores(binarizer.classes_, model.predict_proba(features.of(test))), threshold


def similarities(train: Sequence[Example], golds: Sequence[float], test: Sequence[Example]) -> list[float]:
    """The cosine of the two texts of each test row, brought to the scale of the training scores by a straight line."""
    vectorizer = _vectorizer(_texts(train))
    vectorizer.fit(_texts(train))
    seen = _cosines(vectorizer, train)
    slope, offset = np.polyfit(seen, golds, 1) if np.ptp(seen) > 0 else (0.0, 0.0)
    if slope <= 0:
        slope, offset = 1.0, 0.0
    return [float(value) for value in slope * _cosines(vectorizer, test) + offset]


def regressed(train: Sequence[Example], golds: Sequence[float], test: Sequence[Example]) -> list[float]:
    """The score of each test row, from ridge regression."""
    from sklearn.linear_model import Ridge

    features = _Features(train)
    model = Ridge(alpha=1.0, solver="sparse_cg").fit(features.of(train), list(golds))
    return [float(value) for value in model.predict(features.of(test))]


def nearest(train: Sequence[Example], test: Sequence[Example]) -> list[int]:
    """Which training row is most like each test row by the cosine of what was asked; the first of equal ones."""
    asked = [_asked(example) for example in train]
    vectorizer = _vectorizer(asked)
    known = vectorizer.fit_transform(asked).T.tocsr()
    found: list[int] = []
    for start in range(0, len(test), _BLOCK):
        block = vectorizer.transform(_asked(example) for example in test[start : start + _BLOCK])
        found += (block @ known).toarray().argmax(axis=1).tolist()
    return found


def most_similar(train: Sequence[Example], parts: Sequence[Sequence[str]], asked: Sequence[str]) -> list[int]:
    """Which of its `parts`, at least one each, is most like each of the questions `asked`; the first of equal ones."""
    vectorizer = _vectorizer(_texts(train))
    vectorizer.fit(_texts(train))
    return [
        int((vectorizer.transform(some) @ vectorizer.transform([question]).T).toarray().argmax())
        for some, question in zip(parts, asked, strict=True)
    ]


class _Features:
    """TF-IDF of a text, or of a pair with what its texts share and how they differ."""

    def __init__(self, train: Sequence[Example]) -> None:
        self._paired = any(example.pair is not None for example in train)
        self._vectorizer = _vectorizer(_texts(train))
        self._vectorizer.fit(_texts(train))

    def of(self, examples: Sequence[Example]) -> Matrix:
        from scipy.sparse import csr_matrix, hstack

        first = self._vectorizer.transform(_cut(example.text) for example in examples)
        if not self._paired:
            return first
        second = self._vectorizer.transform(_cut(example.pair or "") for example in examples)
        shared = first.multiply(second)
        cosine = csr_matrix(np.asarray(shared.sum(axis=1)).reshape(-1, 1))
        return hstack([first, second, shared, abs(first - second), cosine]).tocsr()


def _fitted(known: Matrix, wanted: Sequence[str] | np.ndarray) -> "OneVsRestClassifier":
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    model = OneVsRestClassifier(LogisticRegression(solver="liblinear", C=10.0, max_iter=200, tol=1e-2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", message="Label .* is present in all training examples")
        return model.fit(known, wanted)


def _best_threshold(known: Matrix, wanted: np.ndarray) -> float:
    """Where micro F1 peaks on every fifth row, after learning from the others."""
    held = np.arange(known.shape[0]) % 5 == 4
    learnable = wanted[~held].any(axis=0) if held.any() else np.zeros(wanted.shape[1], dtype=bool)
    if learnable.sum() < 2:
        return 0.5
    scores = _fitted(known[~held], wanted[~held][:, learnable]).predict_proba(known[held])
    gold = wanted[held].astype(bool)
    steps = np.arange(0.05, 0.96, 0.05)
    quality = []
    for step in steps:
        said = scores >= step
        quality.append(2 * (said & gold[:, learnable]).sum() / max(1, said.sum() + gold.sum()))
    return float(steps[int(np.argmax(quality))])


def _as_scores(names: Iterable[Any], rows: Floats) -> list[dict[str, float]]:
    labels = [str(name) for name in names]
    if rows.ndim == 2 and rows.shape[1] == 1 and len(labels) == 2:
        rows = np.hstack([1 - rows, rows])
    return [{label: float(score) for label, score in zip(labels, row, strict=True)} for row in rows]


def _vectorizer(texts: Sequence[str]) -> "TfidfVectorizer":
    from sklearn.feature_extraction.text import TfidfVectorizer

    sample = "".join(texts[:: max(1, len(texts) // 500)])[:200_000]
    if len(_IDEOGRAPH.findall(sample)) > 0.3 * len("".join(sample.split())):
        return TfidfVectorizer(analyzer="char", ngram_range=(1, 3), sublinear_tf=True, max_features=200_000)
    return TfidfVectorizer(
        token_pattern=r"(?u)\w+|[^\w\s]", ngram_range=(1, 2), sublinear_tf=True, max_features=200_000
    )


def _texts(examples: Sequence[Example]) -> list[str]:
    return [_cut(text) for example in examples for text in (example.text, example.pair) if text]


def _asked(example: Example) -> str:
    return _cut(f"{example.text} {example.pair}" if example.pair else example.text)


def _cut(text: str) -> str:
    return text[:_LONGEST]


def _cosines(vectorizer: "TfidfVectorizer", examples: Sequence[Example]) -> Floats:
    first = vectorizer.transform(_cut(example.text) for example in examples)
    second = vectorizer.transform(_cut(example.pair or "") for example in examples)
    cosines: Floats = np.asarray(first.multiply(second).sum(axis=1)).ravel()
    return cosines
