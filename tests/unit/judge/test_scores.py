"""Correlations equal scipy, with ties; weights equal repeated rows."""

import numpy as np
import pytest
from scipy import stats

from tunesmith.judge.metrics.scores import Ranking, mean_absolute_error, metrics, pearson, spearman


@pytest.mark.parametrize("seed", range(10))
def test_metrics_equal_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    gold = rng.integers(0, 6, 80) / 2
    predicted = np.round(gold + rng.normal(0, 1, 80), 1)
    ours = metrics(gold, predicted)
    assert ours["spearman"] == pytest.approx(stats.spearmanr(gold, predicted).statistic)
    assert ours["pearson"] == pytest.approx(stats.pearsonr(gold, predicted).statistic)
    assert ours["mae"] == pytest.approx(np.abs(gold - predicted).mean())


@pytest.mark.parametrize("seed", range(10))
def test_a_weight_is_a_repetition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    gold, predicted = rng.integers(0, 4, 40).astype(float), rng.integers(0, 9, 40).astype(float)
    times = rng.poisson(1, 40)
    often = times.astype(float)
    long_gold, long_predicted = np.repeat(gold, times), np.repeat(predicted, times)
    whole = metrics(long_gold, long_predicted)
    assert spearman(Ranking(gold), Ranking(predicted), often) == pytest.approx(whole["spearman"])
    assert pearson(gold, predicted, often) == pytest.approx(whole["pearson"])
    assert mean_absolute_error(gold, predicted, often) == pytest.approx(whole["mae"])


def test_a_constant_answer_ranks_nothing() -> None:
    ours = metrics(np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 2.0]))
    assert ours["spearman"] == ours["pearson"] == 0


def test_best_and_worst() -> None:
    gold = np.array([1.0, 2.0, 4.0])
    assert metrics(gold, 10 * gold)["spearman"] == pytest.approx(1)
    assert metrics(gold, -gold)["spearman"] == pytest.approx(-1)
    assert metrics(gold, gold)["mae"] == 0


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_a_correlation_does_not_depend_on_the_unit(scale: float) -> None:
    values, once = np.linspace(0, 1, 50) * scale, np.ones(50)
    assert pearson(values, values, once) == pytest.approx(1.0)
    assert pearson(values, np.full(50, 0.1 * scale), once) == 0.0


@pytest.mark.parametrize("zero, unit", [(1e4, 1e-3), (1.7e9, 1e3), (-2000.0, 1e-3)])
def test_a_correlation_does_not_depend_on_where_zero_lies(zero: float, unit: float) -> None:
    rng = np.random.default_rng(0)
    gold, once = rng.normal(size=200), np.ones(200)
    predicted = gold + rng.normal(size=200)
    expected = pearson(gold, predicted, once)
    assert pearson(zero + unit * gold, zero + unit * predicted, once) == pytest.approx(expected, rel=1e-6)
    assert pearson(gold, np.full(200, zero / 3), once) == 0.0
