"""Thresholds against trying every one of them."""

import numpy as np
import pytest

from tunesmith.core.prediction import Prediction
from tunesmith.tasks._thresholds import best_threshold, tuned_thresholds
from tunesmith.tasks.text_classification import TextClassification


def f1(scores: np.ndarray, gold: np.ndarray, threshold: float) -> float:
    given = scores >= threshold
    return float(2 * (given & gold).sum() / max(given.sum() + gold.sum(), 1))


@pytest.mark.parametrize("seed", range(20))
def test_no_threshold_is_better(seed: int) -> None:
    draw = np.random.default_rng(seed)
    scores = draw.choice(np.linspace(0.01, 0.99, 15), 40)  # with ties
    gold = draw.random(40) < scores
    tried = max(f1(scores, gold, t) for t in [*np.unique(scores), 0.999])
    assert f1(scores, gold, best_threshold(scores, gold)) == pytest.approx(tried)


def test_it_lies_between_the_two_scores_it_separates() -> None:
    assert best_threshold(np.array([0.9, 0.6, 0.2]), np.array([True, True, False])) == pytest.approx(0.4)
    assert best_threshold(np.array([0.9, 0.6]), np.array([True, True])) == pytest.approx(0.3)
    assert best_threshold(np.array([0.9, 0.6]), np.array([False, False])) == 0.5


def predictions() -> list[Prediction]:
    rows = [({"a": 0.3, "b": 0.4}, ("a",)), ({"a": 0.2, "b": 0.1}, ()), ({"a": 0.35, "b": 0.3}, ("a", "b"))] * 4
    return [
        Prediction(id=str(n), text="", predicted=(), gold=gold, scores=scores) for n, (scores, gold) in enumerate(rows)
    ]


def test_a_rare_label_takes_the_threshold_of_all_decisions() -> None:
    often_a, seldom_b = tuned_thresholds(predictions(), ["a", "b"], fewest=5)
    assert often_a == pytest.approx(0.25)
    scores = np.array([[p.scores["a"], p.scores["b"]] for p in predictions()])
    gold = np.array([["a" in (p.gold or ()), "b" in (p.gold or ())] for p in predictions()])  # type: ignore[operator]
    assert seldom_b == best_threshold(scores.ravel(), gold.ravel())
    assert tuned_thresholds([], ["a", "b"]) == [0.5, 0.5]


def test_the_task_takes_them_over() -> None:
    task = TextClassification(labels=["a", "b"], multi_label=True).tuned(predictions())
    assert task.thresholds == tuned_thresholds(predictions(), ["a", "b"])
    single = TextClassification(labels=["a", "b"], multi_label=False)
    assert single.tuned(predictions()) is single


def test_probabilities_that_are_all_zero_give_a_threshold_that_a_task_takes() -> None:
    assert best_threshold(np.zeros(3), np.array([True, False, True])) == 0.5
