"""Pairs of near and of any texts: none twice, none known, as many as asked for where there are so many."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tunesmith.prepare.neighbours import NEAR, neighbouring_pairs


def unit_rows(count: int, width: int = 8) -> NDArray[np.float32]:
    rows = np.random.default_rng(0).normal(size=(count, width))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("count", [1, 50, 2000])
def test_pairs_are_new_and_differ(count: int) -> None:
    known = [(0, 1), (3, 2)]
    pairs = neighbouring_pairs(unit_rows(200), count, known=known, seed=1)
    assert len(pairs) == count
    unordered = {frozenset(pair) for pair in pairs}
    assert len(unordered) == count and all(len(pair) == 2 for pair in unordered)
    assert not unordered & {frozenset(pair) for pair in known}


def test_most_partners_are_near_and_some_are_not() -> None:
    vectors = unit_rows(400)
    ranks = np.argsort(np.argsort(-(vectors @ vectors.T), axis=1), axis=1)
    found = [ranks[a, b] for a, b in neighbouring_pairs(vectors, 2400, known=(), seed=0)]
    near = np.mean([rank <= NEAR for rank in found])
    assert 0.75 < near < 0.95


def test_few_texts_give_what_there_is() -> None:
    assert neighbouring_pairs(unit_rows(1), 10, known=(), seed=0) == []
    assert neighbouring_pairs(unit_rows(0), 10, known=(), seed=0) == []
    assert {frozenset(pair) for pair in neighbouring_pairs(unit_rows(3), 10, known=(), seed=0)} <= {
        frozenset((0, 1)),
        frozenset((0, 2)),
        frozenset((1, 2)),
    }
    assert neighbouring_pairs(unit_rows(2), 10, known=[(1, 0)], seed=0) == []


def test_the_pairs_are_a_function_of_the_seed() -> None:
    vectors = unit_rows(60)
    first, again, other = (neighbouring_pairs(vectors, 40, known=(), seed=seed) for seed in (1, 1, 2))
    assert first == again != other
