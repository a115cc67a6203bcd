"""Which texts to put beside one another where nobody said which: mostly near ones, some at random.

Near pairs are where a score is hard to tell, random ones show what unrelated texts look like.
Source: Thakur et al. 2021, Augmented SBERT, section 3.1 (semantic search sampling).
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

NEAR = 30
"""How many nearest texts of a text its partners are drawn from."""
_BLOCK = 1024


def neighbouring_pairs(
    vectors: NDArray[np.float32], count: int, *, known: Iterable[Sequence[int]], seed: int
) -> list[tuple[int, int]]:
    """At most `count` pairs (i, j) of rows of `vectors` [n, D] of length 1, in random order, none twice.

    Of six draws for a text one is its nearest (the second time its second nearest), four are among its `NEAR` nearest
    and one is any text. Pairs in `known` are left out, in either order. It ends after `NEAR` times six draws.
    """
    texts = len(vectors)
    if texts < 2:
        return []
    draw = np.random.RandomState(np.random.MT19937(np.random.SeedSequence(seed)))
    near = _nearest(vectors, min(NEAR, texts - 1))
    taken = {tuple(sorted(pair)) for pair in known}
    found: list[tuple[int, int]] = []
    for turn in range(6 * NEAR):
        if turn % 6 == 0 and len(found) >= count:
            break
        for first in draw.permutation(texts).tolist():
            match turn % 6:
                case 0:
                    second = int(near[first, min(turn // 6, near.shape[1] - 1)])
                case 5:
                    second = int(draw.randint(texts))
                case _:
                    second = int(near[first, draw.randint(near.shape[1])])
            pair = (min(first, second), max(first, second))
            if first != second and pair not in taken:
                taken.add(pair)
                found.append((first, second))
    order = draw.permutation(len(found))[:count]
    return [found[index] for index in order]


def _nearest(vectors: NDArray[np.float32], near: int) -> NDArray[np.int64]:
    """[n, near] the nearest other rows of each row, nearest first."""
    rows = []
    for start in range(0, len(vectors), _BLOCK):
        alike = vectors[start : start + _BLOCK] @ vectors.T
        alike[np.arange(len(alike)), np.arange(start, start + len(alike))] = -np.inf
        top = np.argpartition(-alike, near - 1, axis=1)[:, :near]
        order = np.argsort(-np.take_along_axis(alike, top, 1), axis=1, kind="stable")
        rows.append(np.take_along_axis(top, order, 1))
    return np.concatenate(rows)
