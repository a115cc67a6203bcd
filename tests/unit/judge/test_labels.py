"""Single-label metrics equal scikit-learn."""

import random

import numpy as np
import pytest
from sklearn import metrics as sk

from tunesmith.judge.metrics import labels
from tunesmith.judge.metrics.counts import Counts, per_label


@pytest.mark.parametrize("seed", range(15))
def test_metrics_equal_scikit_learn(seed: int) -> None:
    rng = random.Random(seed)
    names = [f"label {i}" for i in range(rng.randint(2, 8))]
    gold = [rng.choice(names[:-1]) for _ in range(60)]
    predicted = [one if rng.random() < 0.6 else rng.choice(names) for one in gold]
    counts = Counts.of([labels.row(one, other) for one, other in zip(gold, predicted, strict=True)])
    ours = labels.metrics(counts)
    assert ours["accuracy"] == pytest.approx(sk.accuracy_score(gold, predicted))
    for average in ("macro", "micro", "weighted"):
        theirs = sk.f1_score(gold, predicted, average=average, zero_division=0)
        assert ours[f"{average}_f1"] == pytest.approx(theirs)
    assert ours["mcc"] == pytest.approx(sk.matthews_corrcoef(gold, predicted))
    known = counts.labels()
    precision, recall, f1, support = sk.precision_recall_fscore_support(
        gold, predicted, labels=list(known), zero_division=0
    )
    mine = per_label(counts, known)
    for name, theirs in {"precision": precision, "recall": recall, "f1": f1, "gold": support}.items():
        assert mine[name] == pytest.approx(theirs)


def test_one_label_only_has_no_correlation() -> None:
    counts = Counts.of([labels.row("a", "a")] * 5)
    ours = labels.metrics(counts)
    assert ours["accuracy"] == 1
    assert ours["mcc"] == 0, "as scikit-learn says, with a warning"


def test_the_worst_case_is_zero() -> None:
    counts = Counts.of([labels.row("a", "b"), labels.row("b", "a")])
    ours = labels.metrics(counts)
    assert ours["accuracy"] == ours["macro_f1"] == ours["weighted_f1"] == 0
    assert ours["mcc"] == -1


def test_replicates_are_metrics_of_repeated_rows() -> None:
    rows = [labels.row("a", "a"), labels.row("a", "b"), labels.row("b", "b")]
    columns = sorted({column for row in rows for column in row})
    weight = np.array([[2, 0], [1, 3], [0, 1]])
    sums = np.array([[row.get(column, 0.0) for row in rows] for column in columns]) @ weight
    both = labels.metrics(Counts(columns, sums))
    for place in range(2):
        repeated = [row for row, times in zip(rows, weight[:, place], strict=True) for _ in range(times)]
        single = labels.metrics(Counts.of(repeated))
        for name, values in both.items():
            assert values[place] == pytest.approx(single[name])
