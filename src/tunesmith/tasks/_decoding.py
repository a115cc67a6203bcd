"""The best legal tag sequence and how sure it is, for many texts at once.

    best  = argmax over legal y of  sum_t  s[t, y_t] + A[y_{t-1}, y_t]          (Viterbi 1967)
    sure  = softmax(s[t])[y_t], or with learned transitions A the marginal p(y_t | s) of forward-backward

Shapes: N units of all texts laid end to end, T the longest text, S texts in a chunk, C tags. Texts are padded only
inside a chunk, longest first, so that a time step works on a shrinking block.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tunesmith.tasks._tags import TagSet

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_FORBIDDEN = -1e30
_CELLS = 50_000
"""Padded units of a block; bounds the memory of the forward scores."""
_TEXTS = 256
"""Texts of a block, so that one step stays in the processor's cache."""


@dataclass(frozen=True, slots=True)
class _Block:
    """Some texts, longest first: where their units lie in N, and how many texts are still running at each step."""

    rows: Ints
    """[T, S] index into N; beyond a text's end any valid row"""
    running: Ints
    """[T]"""

    @property
    def real(self) -> NDArray[np.bool_]:
        """[T, S] whether the text still runs."""
        return _below(self.running, self.rows.shape[1])


def best_tags(scores: Floats, lengths: Ints, tags: TagSet, *, transitions: Floats | None = None) -> Ints:
    """The best legal path, [N] classes.

    Without learned transitions a text whose most probable tags are legal needs no search: they are the best path.
    """
    path: Ints = scores.argmax(1)
    todo = np.flatnonzero(lengths)
    if transitions is None:
        todo = np.flatnonzero(_illegal(path, lengths, tags))
    for block in _blocks(lengths, todo):
        path[block.rows[block.real]] = _viterbi(scores, block, tags, _allowed(tags, transitions))
    return path


def certainty(scores: Floats, lengths: Ints, tags: TagSet, *, transitions: Floats | None = None) -> Floats:
    """Posterior probability of every tag, [N, C]."""
    if transitions is None:
        return _softmax(scores)
    posterior = np.empty_like(scores)
    for block in _blocks(lengths, np.flatnonzero(lengths)):
        posterior[block.rows[block.real]] = _marginals(scores, block, tags, _allowed(tags, transitions))
    return posterior


def entities(path: Ints, lengths: Ints, tags: TagSet) -> tuple[Ints, Ints]:
    """Rows of the first and the last unit of every entity on a legal path, in order."""
    begins = np.flatnonzero(tags.begins[path])
    continued = np.zeros(len(path), dtype=bool)
    continued[:-1] = tags.inside[path[1:]]
    borders = np.cumsum(lengths)
    continued[borders[lengths > 0] - 1] = False
    return begins, np.flatnonzero((path > 0) & ~continued)


def _illegal(path: Ints, lengths: Ints, tags: TagSet) -> NDArray[np.bool_]:
    """[S] whether the path of a text breaks the scheme."""
    wrong = np.zeros(len(path), dtype=bool)
    wrong[1:] = ~tags.step[path[:-1], path[1:]]
    texts = np.flatnonzero(lengths)
    ends = np.cumsum(lengths)[texts]
    starts = ends - lengths[texts]
    wrong[starts] = ~tags.start[path[starts]]
    wrong[ends - 1] |= ~tags.end[path[ends - 1]]
    found = np.zeros(len(lengths), dtype=bool)
    if len(texts):
        found[texts] = np.logical_or.reduceat(wrong, starts)
    return found


def _blocks(lengths: Ints, texts: Ints) -> Iterator[_Block]:
    starts = np.cumsum(lengths) - lengths
    order = texts[np.argsort(-lengths[texts], kind="stable")]
    while len(order):
        longest = int(lengths[order[0]])
        size = min(max(1, _CELLS // longest), _TEXTS)
        chosen, order = order[:size], order[size:]
        steps = np.minimum(np.arange(longest)[:, None], lengths[chosen][None, :] - 1)
        running = (lengths[chosen][None, :] > np.arange(longest)[:, None]).sum(1)
        yield _Block(starts[chosen][None, :] + steps, running)


def _allowed(tags: TagSet, transitions: Floats | None) -> Floats:
    learned = np.zeros(tags.step.shape) if transitions is None else transitions
    return np.where(tags.step, learned, _FORBIDDEN)


def _closed(mask: NDArray[np.bool_]) -> Floats:
    return np.where(mask, 0.0, _FORBIDDEN)


def _viterbi(scores: Floats, block: _Block, tags: TagSet, allowed: Floats) -> Ints:
    """The classes of `block.rows[block.real]`.

    No back-pointers: going back, the best way into the one state that was taken is cheaper to find again than an
    argmax over all of them going forth.
    """
    emitted = np.ascontiguousarray(scores[block.rows].transpose(0, 2, 1))  # [T, C, S]: the maximum runs over whole rows
    best = emitted.copy()
    best[0] += _closed(tags.start)[:, None]
    for t, size in enumerate(block.running[1:], 1):
        best[t, :, :size] += (best[t - 1, :, None, :size] + allowed[:, :, None]).max(0)
    state = np.zeros(block.rows.shape[1], dtype=np.int64)
    path = np.zeros(block.rows.shape, dtype=np.int64)
    closed = _closed(tags.end)[:, None]
    following = 0  # texts that still run at t + 1
    for t in range(len(block.running) - 1, -1, -1):
        size = int(block.running[t])
        into = best[t, :, :size].copy()
        into[:, :following] += allowed[:, state[:following]]
        into[:, following:] += closed
        state[:size] = into.argmax(0)
        path[t, :size] = state[:size]
        following = size
    return path[block.real]


def _marginals(scores: Floats, block: _Block, tags: TagSet, allowed: Floats) -> Floats:
    """The posteriors [n, C] of `block.rows[block.real]`."""
    emitted = scores[block.rows]  # [T, S, C]
    forth = np.empty_like(emitted)
    forth[0] = emitted[0] + _closed(tags.start)
    for t, size in enumerate(block.running[1:], 1):
        forth[t, :size] = _log_product(forth[t - 1, :size], allowed) + emitted[t, :size]
    back = np.empty_like(emitted)
    following = np.broadcast_to(_closed(tags.end), emitted.shape[1:]).copy()
    for t in range(len(block.running) - 1, -1, -1):
        size = block.running[t]
        back[t, :size] = following[:size]
        following[:size] = _log_product(following[:size] + emitted[t, :size], allowed.T)
    return _softmax(forth[block.real] + back[block.real])  # beyond a text's end both are uninitialised memory


def _log_product(logs: Floats, allowed: Floats) -> Floats:
    """log(exp(logs) @ exp(allowed)), [S, C]."""
    top = logs.max(1, keepdims=True)
    peak = max(float(allowed.max()), 0.0)
    product = np.exp(logs - top) @ np.exp(allowed - peak)
    return np.asarray(np.log(np.maximum(product, 1e-300)) + top + peak)


def _below(limits: Ints, size: int) -> NDArray[np.bool_]:
    """[len(limits), size] whether the column's number lies below the row's limit."""
    return np.less(np.arange(size)[None, :], limits[:, None])


def _softmax(scores: Floats) -> Floats:
    powers = np.exp(scores - scores.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))
