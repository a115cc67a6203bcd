"""Approximate search with faiss, which is imported here only: a question is compared with the vectors near it.

    cells      centroids c_1 .. c_m of the vectors by k-means, m about 2 sqrt(n); each vector lies in its nearest cell
    search     the vectors of the p cells whose centroids are nearest to the question

The index is made from the vectors of a bundle whenever one is opened, so that nothing of faiss is ever read from a
file. p is doubled until the index finds at least 98 of 100 of the documents that exact search finds, and what it finds
is told: `recall`, the lower one of two measurements of recall@10, with documents as questions and with the questions
of the golden rows.

When to use it: from about a hundred thousand documents; the guide has the measurements. It takes the memory of the
vectors once more. A graph (HNSW) answers as fast and takes twice as long to make, which every start would wait for.
Reference: Sivic & Zisserman 2003, Video Google (inverted lists of cells); Douze et al. 2024, The Faiss library.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tunesmith.bundle import golden
from tunesmith.bundle.collection import Collection, Found, Index, highest
from tunesmith.bundle.read import Bundle
from tunesmith.core.errors import MissingExtraError, UsageError

Search = Literal["exact", "faiss"]
"""Compare a question with every document, or with those that an index takes for near ones."""

TARGET: Final = 0.98
DEPTH: Final = 10
"""Documents of exact search that the index should find"""
SAMPLED: Final = 256
"""Documents that are asked as questions to measure the index; fewer where there are fewer"""
LEAST: Final = 39
"""Vectors that k-means wants for each cell"""
ROUNDS: Final = 10
BLOCK: Final = 16
"""Questions that are compared with all documents at once while the index is measured"""


def searching(bundle: Bundle, search: Search) -> Bundle:
    """The bundle with its documents searched in this way. The golden rows are proved by exact search, so before this.

    Raises:
        UsageError: no such search; a bundle that searches no documents.
        MissingExtraError: faiss is not installed.
    """
    if search not in get_args(Search):
        raise UsageError(f"there is no search {search!r}", code="TS-BUNDLE-065", fix='choose "exact" or "faiss".')
    if search == "exact":
        return bundle
    if bundle.collection is None:
        raise UsageError(
            f"a model for {bundle.task.kind()} without documents has nothing to index",
            code="TS-BUNDLE-066",
            fix="leave the index out.",
        )
    asked = [tensor for row in golden.read(bundle.folder) for tensor in row.logits]
    questions = np.concatenate([tensor.numpy() for tensor in asked]) if asked else None
    return replace(bundle, collection=indexed(bundle.collection, questions=questions))


def indexed(collection: Collection, *, questions: NDArray[np.float32] | None = None) -> Collection:
    """The collection behind an index; `questions` [q, D] are vectors of questions to measure it with.

    Raises:
        MissingExtraError: faiss is not installed.
    """
    return replace(collection, index=Cells.of(collection.vectors, questions))


@dataclass(frozen=True, slots=True)
class Cells(Index):
    """Vectors in cells around centroids, of which a question looks into `probed`."""

    library: ModuleType
    inverted: Any
    """faiss.IndexIVFFlat"""
    cells: int
    probed: int
    recall: float
    """Share of the ten documents of exact search that it finds, measured when it was made"""
    seconds: float
    """What it took to make"""

    @classmethod
    def of(cls, vectors: NDArray[np.float32], questions: NDArray[np.float32] | None) -> "Cells":
        """An index of vectors [n, D] of length 1."""
        library, started = _library(), time.perf_counter()
        count, width = vectors.shape
        cells = max(1, min(round(2 * count**0.5), count // LEAST))
        inverted = library.IndexIVFFlat(library.IndexFlatIP(width), width, cells, library.METRIC_INNER_PRODUCT)
        inverted.cp.niter, inverted.cp.max_points_per_centroid = ROUNDS, LEAST + 1
        inverted.cp.min_points_per_centroid = 1  # a few vectors make one cell, which is no reason to warn
        inverted.train(vectors)
        inverted.add(vectors)
        trials = [_documents_asked(vectors), *([_asked(vectors, questions)] if questions is not None else [])]
        made = cls(library, inverted, cells, 1, 0.0, 0.0)
        while True:
            made = replace(made, recall=min(made.found_of(trial) for trial in trials))
            if made.recall >= TARGET or made.probed == cells:
                return replace(made, seconds=time.perf_counter() - started)
            made = replace(made, probed=min(2 * made.probed, cells))

    @property
    def account(self) -> str:
        """What it is and what it finds, as one sentence for a log."""
        return (
            f"faiss looks into {self.probed} of {self.cells} cells and finds {self.recall:.3f} of the first {DEPTH} "
            f"of exact search; made in {self.seconds:.1f} s"
        )

    def nearest(self, questions: NDArray[np.float32], *, count: int) -> list[Found]:
        """What lies in the cells near each question, and all documents where those hold fewer than `count`."""
        cosines, places = self._search(questions, count, self.probed)
        short = np.flatnonzero((places < 0).any(axis=1))
        if len(short):
            cosines[short], places[short] = self._search(questions[short], count, self.cells)
        return [_in_order(one, other) for one, other in zip(places, cosines, strict=True)]

    def found_of(self, trial: "_Trial") -> float:
        """The share of the documents of exact search that it finds."""
        hits = total = 0
        _, places = self._search(trial.questions, DEPTH + 1, self.probed)
        for near, expected, own in zip(places, trial.expected, trial.own, strict=True):
            hits += len(set(near[near != own][:DEPTH].tolist()) & set(expected.tolist()))
            total += len(expected)
        return hits / total if total else 1.0

    def _search(
        self, questions: NDArray[np.float32], count: int, probed: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        found = self.inverted.search(
            np.ascontiguousarray(questions), count, params=self.library.SearchParametersIVF(nprobe=probed)
        )
        return found[0], found[1]


@dataclass(frozen=True, slots=True)
class _Trial:
    """Questions [q, D], the places of what exact search finds for each, and the place that a question itself has."""

    questions: NDArray[np.float32]
    expected: Sequence[NDArray[np.int64]]
    own: NDArray[np.int64]


def _documents_asked(vectors: NDArray[np.float32]) -> _Trial:
    """Documents evenly spaced, each asked for its neighbours, among which it does not count itself."""
    own = np.unique(np.linspace(0, len(vectors) - 1, min(SAMPLED, len(vectors))).astype(np.int64))
    return _trial(vectors, vectors[own], own)


def _asked(vectors: NDArray[np.float32], questions: NDArray[np.float32]) -> _Trial:
    return _trial(vectors, questions, np.full(len(questions), -1))


def _trial(vectors: NDArray[np.float32], questions: NDArray[np.float32], own: NDArray[np.int64]) -> _Trial:
    expected = []
    for start in range(0, len(questions), BLOCK):
        block = slice(start, start + BLOCK)
        for place, cosines in zip(own[block], questions[block] @ vectors.T, strict=True):
            first = highest(cosines, DEPTH + 1)
            expected.append(first[first != place][:DEPTH])
    return _Trial(questions, expected, own)


def _in_order(places: NDArray[np.int64], cosines: NDArray[np.float32]) -> Found:
    """Best first; of equal cosines the first of the collection, as exact search has it."""
    held = places >= 0
    places, cosines = places[held], cosines[held]
    order = np.lexsort((places, -cosines))
    return places[order], cosines[order]


def _library() -> ModuleType:
    try:
        import faiss
    except ImportError:
        raise MissingExtraError(
            "the index needs faiss, which is not installed",
            code="TS-BUNDLE-067",
            fix='pip install "tunesmith[faiss]"',
        ) from None
    module: ModuleType = faiss
    return module
