"""BM25: rare words that question and document share, counted with saturation. What search engines do without a model.

    score(q, d) = sum over words w of q of  idf(w) f (k1 + 1) / (f + k1 (1 - b + b |d| / mean |d|))
    idf(w)      = ln(1 + (n - n_w + 1/2) / (n_w + 1/2))

f is how often w stands in d, |d| the words of d, n the documents, n_w those that hold w. A word that stands twice in
the question counts twice. Words are runs of letters and digits in lower case; each Chinese, Japanese or Korean
character and each two neighbours of them are words.

Reference: Robertson & Zaragoza 2009, The probabilistic relevance framework: BM25 and beyond, equation 3.15; the idf
that is never below 0 is that of Lucene.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from tunesmith.judge.metrics.counts import Floats

K1, B = 1.2, 0.75
_IDEOGRAPH = r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7ff]"
_WORD = re.compile(rf"(?P<ideographs>{_IDEOGRAPH}+)|(?:(?!{_IDEOGRAPH})[^\W_])+")


def words_of(text: str) -> list[str]:
    """The words of a text in order."""
    words = []
    for match in _WORD.finditer(text.lower()):
        part = match.group()
        if match["ideographs"]:
            words += [*part, *(part[start : start + 2] for start in range(len(part) - 1))]
        else:
            words.append(part)
    return words


class BM25:
    """An index of documents by their words."""

    def __init__(self, documents: Sequence[str], *, k1: float = K1, b: float = B) -> None:
        counts = [Counter(words_of(text)) for text in documents]
        lengths = np.array([counted.total() for counted in counts], dtype=np.float64)
        longer = k1 * (1 - b + b * lengths / max(float(lengths.mean()), 1e-9)) if len(lengths) else lengths
        postings: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        for number, counted in enumerate(counts):
            for word, count in counted.items():
                postings[word].append((number, count))
        self._size = len(counts)
        self._weights: dict[str, tuple[np.ndarray, Floats]] = {}
        for word, found in postings.items():
            rows, often = (np.array(column) for column in zip(*found, strict=True))
            idf = np.log1p((self._size - len(rows) + 0.5) / (len(rows) + 0.5))
            self._weights[word] = rows, idf * often * (k1 + 1) / (often + longer[rows])

    def scores(self, question: str) -> Floats:
        """[n] of every document; 0 where it shares no word with the question."""
        total = np.zeros(self._size)
        for word, times in Counter(words_of(question)).items():
            if word in self._weights:
                rows, weights = self._weights[word]
                total[rows] += times * weights
        return total
