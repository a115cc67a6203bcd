"""The books of one pass over the predictions: exact sums, and the same sums under every bootstrap replicate."""

import numpy as np

from tunesmith.judge.intervals import Draw, poisson_draws
from tunesmith.judge.metrics.counts import Column, Counts, Floats, Row

_BLOCK = 256


class Ledger:
    """Add rows, read sums. Memory: K columns x R replicates, whatever the number of rows."""

    def __init__(self, *, replicates: int, draw: Draw = poisson_draws) -> None:
        """`draw` says how often each row stands in each replicate."""
        self._replicates = replicates
        self._draw = draw
        self._columns: dict[Column, int] = {}
        self._exact: Floats = np.zeros(0)
        self._drawn: Floats = np.zeros((0, replicates))
        self._block: list[tuple[int, Row]] = []

    def add(self, key: int, row: Row) -> None:
        """Book one row; rows with one key are drawn together."""
        self._block.append((key, row))
        if len(self._block) == _BLOCK:
            self._post()

    def exact(self) -> Counts:
        """The sums [K] over all rows."""
        self._post()
        return Counts(list(self._columns), self._exact[: len(self._columns)])

    def drawn(self) -> Counts:
        """The sums [K, R] of every replicate."""
        self._post()
        return Counts(list(self._columns), self._drawn[: len(self._columns)])

    def _post(self) -> None:
        if not self._block:
            return
        entries = [
            (self._columns.setdefault(column, len(self._columns)), position, value)
            for position, (_, row) in enumerate(self._block)
            for column, value in row.items()
        ]
        if not entries:  # rows that add nothing, as when a model is compared with itself
            self._block.clear()
            return
        from scipy.sparse import csr_array  # not at the top: no first training step should wait for it

        self._make_room()
        rows, places, values = zip(*entries, strict=True)
        shape = (len(self._exact), len(self._block))
        sums = csr_array((np.array(values, dtype=np.float64), (rows, places)), shape=shape)
        keys = np.array([key for key, _ in self._block], dtype=np.uint64)
        self._exact += sums.sum(axis=1)
        self._drawn += sums @ self._draw(keys, self._replicates).astype(np.float64)
        self._block.clear()

    def _make_room(self) -> None:
        missing = len(self._columns) - len(self._exact)
        if missing > 0:
            spare = missing + len(self._columns) // 2
            self._exact = np.concatenate((self._exact, np.zeros(spare)))
            self._drawn = np.concatenate((self._drawn, np.zeros((spare, self._replicates))))
