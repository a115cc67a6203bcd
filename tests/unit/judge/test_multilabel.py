"""Multi-label metrics equal scikit-learn."""

import random

import numpy as np
import pytest
from sklearn import metrics as sk
from sklearn.preprocessing import MultiLabelBinarizer

from tunesmith.judge.metrics import multilabel
from tunesmith.judge.metrics.counts import Counts

NAMES = [f"tag {i}" for i in range(6)]


def subset(rng: random.Random, share: float) -> tuple[str, ...]:
    return tuple(name for name in NAMES if rng.random() < share)


@pytest.mark.parametrize("seed", range(15))
def test_metrics_equal_scikit_learn(seed: int) -> None:
    rng = random.Random(seed)
    gold = [subset(rng, 0.3) for _ in range(50)] + [tuple(NAMES)]
    predicted = [one if rng.random() < 0.5 else subset(rng, 0.4) for one in gold]
    # Rounded, so that ties in the ranking occur.
    scores = [{name: round(rng.random(), 1) for name in NAMES} for _ in gold]
    rows = [multilabel.row(g, p, s) for g, p, s in zip(gold, predicted, scores, strict=True)]
    ours = multilabel.metrics(Counts.of(rows))
    binarizer = MultiLabelBinarizer(classes=NAMES)
    right, said = binarizer.fit_transform(gold), binarizer.transform(predicted)
    assert ours["subset_accuracy"] == pytest.approx(sk.accuracy_score(right, said))
    assert ours["micro_f1"] == pytest.approx(sk.f1_score(right, said, average="micro", zero_division=0))
    assert ours["macro_f1"] == pytest.approx(sk.f1_score(right, said, average="macro", zero_division=0))
    table = np.array([[row[name] for name in NAMES] for row in scores])
    theirs = sk.label_ranking_average_precision_score(right, table)
    assert ours["ranking_average_precision"] == pytest.approx(theirs)


def test_without_scores_there_is_no_ranking() -> None:
    ours = multilabel.metrics(Counts.of([multilabel.row(("a",), ("a",), {})]))
    assert "ranking_average_precision" not in ours
    assert ours["subset_accuracy"] == 1


def test_a_gold_label_without_a_score_ranks_last() -> None:
    assert multilabel.ranking_precision({"new"}, {"a": 0.9, "b": 0.1}) == pytest.approx(1 / 3)
