"""The streaming bootstrap draws what it claims to draw, and its intervals hold what they should."""

import numpy as np
import pytest

from tunesmith.judge.intervals import coin_draws, interval, key_of, poisson_draws


def keys(count: int, seed: int = 0) -> np.ndarray:
    return np.array([key_of(str(i), seed) for i in range(count)], dtype=np.uint64)


def test_draws_are_poisson_with_mean_one() -> None:
    drawn = poisson_draws(keys(2000), 500)
    assert drawn.shape == (2000, 500)
    assert drawn.mean() == pytest.approx(1, abs=0.01)
    assert drawn.var() == pytest.approx(1, abs=0.02)
    share = np.bincount(drawn.ravel(), minlength=8)[:4] / drawn.size
    assert share == pytest.approx(np.exp(-1) / np.array([1, 1, 2, 6]), abs=0.003)


def test_draws_of_different_rows_and_replicates_are_uncorrelated() -> None:
    drawn = poisson_draws(keys(400), 400).astype(float)
    rows, columns = np.corrcoef(drawn), np.corrcoef(drawn.T)
    for table in (rows, columns):
        off = table[~np.eye(400, dtype=bool)]
        assert abs(off.mean()) < 0.005
        assert np.abs(off).max() < 0.3


def test_a_replicate_does_not_depend_on_how_many_there_are() -> None:
    assert np.array_equal(poisson_draws(keys(20), 1000)[:, :64], poisson_draws(keys(20), 64))


def test_coins_are_fair() -> None:
    assert coin_draws(keys(1000), 500).mean() == pytest.approx(0.5, abs=0.01)


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for trial in range(200):
        right = (rng.random(150) < 0.8).astype(float)
        weights = poisson_draws(keys(150, seed=trial), 400).astype(float)
        found = interval(right.mean(), (right @ weights) / weights.sum(axis=0))
        covered += found.low <= 0.8 <= found.high
    assert 0.90 <= covered / 200 <= 0.99


def test_a_perfect_score_on_few_rows_is_not_certain() -> None:
    ones = np.ones(100)
    assert interval(1.0, ones, evidence=10).low == pytest.approx(1 - 0.308, abs=0.001)
    assert interval(0.0, 0 * ones, evidence=100).high == pytest.approx(0.0362, abs=0.0001)
    assert interval(1.0, ones, evidence=10).high == 1


def test_replicates_without_a_value_are_left_out() -> None:
    found = interval(0.5, np.array([np.nan, 0.4, 0.6, np.nan]))
    assert 0.4 <= found.low <= found.value <= found.high <= 0.6
    nothing = interval(0.5, np.zeros(0))
    assert (nothing.low, nothing.high) == (0.5, 0.5)
