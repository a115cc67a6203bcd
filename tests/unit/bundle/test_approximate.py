"""Search through cells against exact search: what it claims to find it finds, and nothing is lost where it is small."""

import sys

import numpy as np
import pytest

from tunesmith.bundle.approximate import TARGET, Cells, indexed
from tunesmith.bundle.collection import Collection
from tunesmith.bundle.opening import load
from tunesmith.bundle.verify import verify
from tunesmith.core.errors import MissingExtraError, UsageError
from tunesmith.core.example import Document

DRAW = np.random.default_rng(0)


def clustered(count, *, centres=60, width=32):
    """Vectors [count, width] of length 1 around centres."""
    middle = np.random.default_rng(1).normal(size=(centres, width))
    vectors = middle[DRAW.integers(0, centres, count)] + 0.35 * DRAW.normal(size=(count, width))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def collection(vectors):
    return Collection(tuple(Document(f"d{n}", f"text {n}") for n in range(len(vectors))), vectors)


@pytest.fixture(autouse=True)
def _faiss():
    pytest.importorskip("faiss")


def test_it_finds_as_much_of_exact_search_as_it_says():
    exact, asked = collection(clustered(6000)), clustered(400)
    through = indexed(exact, questions=asked)
    assert isinstance(through.index, Cells)
    assert through.index.probed < through.index.cells == 153, "k-means wants 39 vectors a cell: 6000 // 39 = 153"
    pairs = zip(through.nearest(asked, count=10), exact.nearest(asked, count=10), strict=True)
    shares = [len({item.id for item in ours} & {item.id for item in theirs}) / 10 for ours, theirs in pairs]
    assert np.mean(shares) >= through.index.recall - 0.01 >= TARGET - 0.01
    assert f"{through.index.recall:.3f} of the first 10" in through.index.account


def test_what_it_finds_has_the_cosines_and_the_order_of_exact_search():
    exact = collection(clustered(2000))
    through, asked = indexed(exact), clustered(20)
    for ours, theirs in zip(through.nearest(asked, count=5), exact.nearest(asked, count=5), strict=True):
        cosines = {item.id: item.score for item in theirs}
        assert [item.score for item in ours] == sorted((item.score for item in ours), reverse=True)
        assert all(item.score == pytest.approx(cosines[item.id], abs=1e-5) for item in ours if item.id in cosines)


def test_vectors_without_neighbours_cost_all_cells_and_not_the_truth():
    vectors = DRAW.normal(size=(3000, 64)).astype(np.float32)
    made = indexed(collection(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))).index
    assert isinstance(made, Cells) and made.recall >= TARGET


@pytest.mark.parametrize("count", [1, 6, 77, 200])
def test_few_documents_are_all_found(count):
    exact = collection(clustered(count))
    asked = clustered(9)
    found = indexed(exact).nearest(asked, count=count)
    expected = exact.nearest(asked, count=count)
    assert [{item.id for item in near} for near in found] == [{item.id for item in near} for near in expected]


def test_a_bundle_answers_through_an_index_and_says_what_it_finds(tiny_bundles):
    through, exact = load(tiny_bundles("documents"), index="faiss"), load(tiny_bundles("documents"))
    ids = [[item.id for item in model.predict("not good").predicted] for model in (through, exact)]
    assert ids[0] == ids[1]
    said = verify(tiny_bundles("documents"), index="faiss").index
    assert said is not None and "finds 1.000 of the first 10 of exact search" in said
    assert verify(tiny_bundles("documents")).index is None


def test_without_documents_there_is_nothing_to_index(tiny_bundles):
    with pytest.raises(UsageError, match="nothing to index"):
        load(tiny_bundles("pair"), index="faiss")
    with pytest.raises(UsageError, match="there is no search 'hnsw'"):
        load(tiny_bundles("documents"), index="hnsw")


def test_without_faiss_the_remedy_is_one_line(tiny_bundles, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingExtraError) as refused:
        load(tiny_bundles("documents"), index="faiss")
    assert refused.value.exit_code == 69 and refused.value.fix == 'pip install "tunesmith[faiss]"'
