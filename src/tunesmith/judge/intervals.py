"""Intervals from a bootstrap that reads each row once.

Resampling n rows with replacement gives each row a Binomial(n, 1/n) count; for a stream that is Poisson(1), drawn
independently per row. The draw is a hash of the row's document (or of the row where there is none), the seed and the
replicate: rows of one document are drawn together without remembering documents, the order of the rows is without
influence, and two models judged on the same rows see the same replicates.

Reference: Hanley and MacGibbon 2006, Creating non-parametric bootstrap samples using Poisson frequencies;
Chamandy et al. 2012, Estimating uncertainty for massive data streams.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from math import exp, factorial

import numpy as np
from numpy.typing import NDArray

from tunesmith.judge.metrics.counts import Floats

Draws = NDArray[np.uint8]
Keys = NDArray[np.uint64]
LEVEL = 0.95
"""How often an interval covers the truth."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float

    def as_record(self) -> dict[str, float]:
        """`{"value": ..., "low": ..., "high": ...}` at six digits."""
        return {"value": round(self.value, 6), "low": round(self.low, 6), "high": round(self.high, 6)}

    def __str__(self) -> str:
        """`0.912 [0.893, 0.930]`."""
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def key_of(name: str, seed: int) -> int:
    """64 bits that stand for a document or a row."""
    return int.from_bytes(hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=8).digest(), "little")


def poisson_draws(keys: Keys, replicates: int) -> Draws:
    """[n, R] how often each row stands in each replicate."""
    drawn: Draws = _POISSON[_random_bits(keys, replicates)]
    return drawn


def coin_draws(keys: Keys, replicates: int) -> Draws:
    """[n, R] zeros and ones, for exchanging the answers of two models."""
    return (_random_bits(keys, replicates) & 1).astype(np.uint8)


Draw = Callable[[Keys, int], Draws]


def _poisson_table() -> Draws:
    """The Poisson(1) count that each of 65,536 equally likely numbers stands for."""
    below = np.cumsum([exp(-1) / factorial(count) for count in range(12)])
    return np.searchsorted(below, (np.arange(65536) + 0.5) / 65536).astype(np.uint8)


_POISSON = _poisson_table()


def _random_bits(keys: Keys, replicates: int) -> NDArray[np.uint16]:
    """[n, R] 16 random bits each: splitmix64 of key and position, four numbers to a word."""
    words = -(-replicates // 4)
    step = np.uint64(0x9E3779B97F4A7C15)
    state = keys[:, None] + step * np.arange(1, words + 1, dtype=np.uint64)[None, :]
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    state ^= state >> np.uint64(31)
    bits: NDArray[np.uint16] = np.ascontiguousarray(state).view(np.uint16)
    return bits[:, :replicates]


def interval(value: float, replicates: Floats, *, evidence: float | None = None) -> Metric:
    """The central 95 % of the replicates [R] around `value`, NaN replicates left out.

    Where every replicate says 0 or 1, resampling cannot show the doubt that is left. If `evidence` gives the number of
    independent rows behind a proportion, the exact binomial bound for "all of them" is taken instead (for 100 rows
    about 3.6 %).
    """
    known = replicates[~np.isnan(replicates)]
    if not len(known):
        return Metric(value, value, value)
    tail = (1 - LEVEL) / 2
    low, high = (float(bound) for bound in np.quantile(known, (tail, 1 - tail)))
    low, high = min(low, value), max(high, value)
    if low == high and value in (0.0, 1.0) and evidence is not None and evidence >= 1:
        doubt = 1 - tail ** (1 / evidence)
        return Metric(value, 1 - doubt if value else 0.0, 1.0 if value else doubt)
    return Metric(value, low, high)
