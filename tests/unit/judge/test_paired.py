"""Two models on the same rows: sure of a real difference, unsure of luck."""

import random
from dataclasses import replace

import pytest
from scipy.stats import binomtest

from tunesmith.core.errors import DataError, UsageError
from tunesmith.core.example import Span
from tunesmith.core.prediction import Prediction, ScoredSpan
from tunesmith.judge.paired import paired_test, paired_tests
from tunesmith.judge.paired_labels import label_differences
from tunesmith.judge.scoring import score


def labelled(right: float, *, seed: int, count: int = 300, group: bool = False) -> list[Prediction]:
    truth, luck = random.Random(0), random.Random(seed)
    rows = []
    for i in range(count):
        gold = truth.choice("abc")
        said = gold if luck.random() < right else "abc"["bca".index(gold)]
        rows.append(Prediction(id=str(i), text="t", gold=gold, predicted=said, group=str(i // 5) if group else None))
    return rows


def tagged(keep: float, *, seed: int, count: int = 200) -> list[Prediction]:
    luck = random.Random(seed)
    rows = []
    for i in range(count):
        gold = tuple(Span(10 * k, 10 * k + 3, "AB"[(i + k) % 2]) for k in range(i % 4))
        said = tuple(ScoredSpan(s.start, s.end, s.label, 0.9) for s in gold if luck.random() < keep)
        rows.append(Prediction(id=str(i), text="t" * 40, gold=gold, predicted=said))
    return rows


def written(keep: float, *, seed: int, count: int = 120) -> list[Prediction]:
    truth, luck = random.Random(0), random.Random(seed)
    rows = []
    for i in range(count):
        gold = [truth.choice("abcdefgh") for _ in range(truth.randint(4, 12))]
        said = [word for word in gold if luck.random() < keep]
        rows.append(Prediction(id=str(i), text="t", gold=" ".join(gold), predicted=" ".join(said)))
    return rows


def found_spans(right: float, *, seed: int, count: int = 120) -> list[Prediction]:
    luck = random.Random(seed)
    rows = []
    for i in range(count):
        gold = (Span(0, 3, "answer"),) if i % 4 else ()
        said = gold if luck.random() < right else (Span(4, 9, "answer"),)
        spans = tuple(ScoredSpan(span.start, span.end, span.label, 0.9) for span in said)
        rows.append(Prediction(id=str(i), text="Ann lives in Oslo", pair="Who?", gold=gold, predicted=spans))
    return rows


WRITTEN = {"generation": written, "extractive_qa": found_spans}


@pytest.mark.parametrize("kind, metric", [("generation", "rouge_l"), ("generation", "bleu"), ("extractive_qa", "f1")])
def test_the_better_of_two_writers_is_told_and_luck_is_not(kind: str, metric: str) -> None:
    good, poor, like = (WRITTEN[kind](share, seed=seed) for share, seed in ((0.9, 1), (0.6, 2), (0.9, 3)))
    found = paired_test(good, poor, kind=kind, metric=metric, replicates=300)
    assert found.low > 0 and found.p_value < 0.01 and found.test == "approximate randomisation"
    chance = paired_test(good, like, kind=kind, metric=metric, replicates=300)
    assert chance.low < 0 < chance.high and chance.p_value > 0.05


@pytest.mark.parametrize("kind", WRITTEN)
def test_one_pass_serves_every_metric(kind: str) -> None:
    one, other = WRITTEN[kind](0.9, seed=1, count=40), WRITTEN[kind](0.6, seed=2, count=40)
    metrics = list(score(one, kind=kind, replicates=0).metrics)
    together = paired_tests(one, other, kind=kind, metrics=metrics, replicates=100)
    assert [test.metric for test in together] == metrics
    for test in together:
        assert test.low <= test.difference <= test.high
        assert test == paired_test(one, other, kind=kind, metric=test.metric, replicates=100)
        assert test.first == pytest.approx(score(one, kind=kind, replicates=0).metrics[test.metric].value)
    same = paired_tests(one, one, kind=kind, metrics=metrics, replicates=50)
    assert all((test.low, test.high, test.p_value) == (0, 0, 1) for test in same)


@pytest.mark.parametrize("kind", WRITTEN)
def test_written_answers_have_no_labels_to_differ_in(kind: str) -> None:
    one, other = WRITTEN[kind](0.9, seed=1, count=9), WRITTEN[kind](0.6, seed=2, count=9)
    assert label_differences(zip(one, other, strict=True), kind=kind) == []


def test_a_model_against_itself_is_no_difference() -> None:
    rows = labelled(0.8, seed=1)
    for metric in ("accuracy", "macro_f1", "mcc"):
        found = paired_test(rows, rows, kind="text_classification", metric=metric, replicates=200)
        assert found.difference == found.low == found.high == 0
        assert found.p_value == 1


def test_accuracy_without_documents_is_mcnemar() -> None:
    one, other = labelled(0.85, seed=1), labelled(0.75, seed=2)
    found = paired_test(one, other, kind="text_classification", metric="accuracy")
    wins = sum(a.predicted == a.gold != b.predicted for a, b in zip(one, other, strict=True))
    losses = sum(b.predicted == a.gold != a.predicted for a, b in zip(one, other, strict=True))
    assert found.test == "McNemar"
    assert found.p_value == pytest.approx(binomtest(wins, wins + losses).pvalue)
    assert found.difference == pytest.approx((wins - losses) / 300)
    assert found.low < found.difference < found.high


def test_randomisation_agrees_with_mcnemar_where_both_apply() -> None:
    one, other = labelled(0.82, seed=1), labelled(0.78, seed=2)
    exact = paired_test(one, other, kind="text_classification", metric="accuracy").p_value
    drawn = paired_test(one, other, kind="text_classification", metric="micro_f1", replicates=4000)
    assert drawn.test == "approximate randomisation"
    assert drawn.p_value == pytest.approx(exact, abs=0.03)


def test_a_clear_difference_is_found_and_is_antisymmetric() -> None:
    one, other = tagged(0.9, seed=1), tagged(0.6, seed=2)
    found = paired_test(one, other, kind="token_classification", metric="span_f1")
    back = paired_test(other, one, kind="token_classification", metric="span_f1")
    assert found.low > 0 and found.p_value < 0.01
    assert (back.difference, back.low) == pytest.approx((-found.difference, -found.high))


def test_luck_is_not_taken_for_skill() -> None:
    p_values = [
        paired_test(
            tagged(0.8, seed=2 * i, count=80), tagged(0.8, seed=2 * i + 1, count=80),
            kind="token_classification", metric="span_f1", replicates=200,
        ).p_value
        for i in range(40)
    ]  # fmt: skip
    assert sum(p < 0.05 for p in p_values) <= 6


def test_documents_are_exchanged_as_a_whole() -> None:
    one, other = labelled(0.9, seed=1, group=True), labelled(0.7, seed=2, group=True)
    assert paired_test(one, other, kind="text_classification", metric="accuracy").test == "approximate randomisation"


def test_scores_on_different_scales_are_compared_by_rank() -> None:
    rng = random.Random(4)
    gold = [rng.uniform(0, 5) for _ in range(200)]
    good = [Prediction(id=str(i), text="t", gold=g, predicted=g + rng.gauss(0, 0.5)) for i, g in enumerate(gold)]
    poor = [replace(row, predicted=rng.random()) for row in good]
    found = paired_test(good, poor, kind="pair_matching", metric="spearman", replicates=200)
    assert found.low > 0.5 and found.p_value < 0.01
    scaled = [replace(row, predicted=100 * float(str(row.predicted)) - 7) for row in good]
    same = paired_test(good, scaled, kind="pair_matching", metric="spearman", replicates=100)
    assert same.difference == pytest.approx(0) and same.p_value == 1


def test_other_rows_and_unknown_metrics_are_refused() -> None:
    rows = labelled(0.8, seed=1)
    with pytest.raises(DataError, match="TS-JUDGE-005"):
        paired_test(rows, rows[:-1], kind="text_classification", metric="accuracy")
    with pytest.raises(DataError, match="TS-JUDGE-005"):
        paired_test(rows, [*rows[1:], rows[0]], kind="text_classification", metric="accuracy")
    with pytest.raises(UsageError, match=r"TS-JUDGE-006"):
        paired_test(rows, rows, kind="text_classification", metric="span_f1")
    with pytest.raises(DataError, match="TS-JUDGE-004"):
        paired_test([], [], kind="text_classification", metric="accuracy")


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_difference_seen_on_a_few_rows_is_not_certain(count: int) -> None:
    right = [Prediction(id=str(i), text="t", gold="a", predicted="a") for i in range(count)]
    wrong = [replace(row, predicted="b") for row in right]
    found = paired_test(right, wrong, kind="text_classification", metric="accuracy")
    assert (found.difference, found.low, found.high) == (1.0, 0.0, 1.0)
