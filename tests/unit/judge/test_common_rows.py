"""Only rows that two models both answered are compared, whatever their order."""

from dataclasses import replace

import pytest

from tunesmith.core.prediction import Prediction
from tunesmith.judge.common_rows import common_rows
from tunesmith.judge.paired import paired_test
from tunesmith.judge.paired_labels import label_differences

ROWS = [Prediction(id=str(n), text=f"t{n}", gold="ab"[n % 2], predicted="a") for n in range(6)]


def test_the_order_is_the_first_ones() -> None:
    found = common_rows(ROWS, [replace(row, predicted="b") for row in reversed(ROWS)])
    assert found.all_of_both and not found.left_out()
    assert [row.id for row in found.first] == [row.id for row in found.second] == [row.id for row in ROWS]
    assert {row.predicted for row in found.second} == {"b"}


def test_what_is_left_out_is_counted_by_its_reason() -> None:
    other = [replace(ROWS[0], text="changed"), replace(ROWS[1], gold="c"), replace(ROWS[2], pair="x"), *ROWS[3:5]]
    found = common_rows(ROWS, other)
    assert [row.id for row in found.first] == ["3", "4"]
    assert (found.first_rows, found.second_rows, found.other_text, found.other_gold) == (6, 5, 2, 1)
    assert not found.all_of_both
    assert found.left_out() == (
        "2 with the same id have another text; 1 with the same id have another gold answer; "
        "1 of the first have an id that the second lacks"
    )


def test_rows_of_one_id_are_told_apart_by_their_text() -> None:
    twins = [replace(ROWS[0], id="x"), replace(ROWS[1], id="x"), replace(ROWS[1], id="x")]
    found = common_rows(twins, [twins[1], twins[0]])
    assert [row.text for row in found.first] == ["t0", "t1"]
    assert found.first == found.second


def test_differences_of_labels_are_those_of_their_scores() -> None:
    better = [replace(row, predicted=row.gold) for row in ROWS for _ in range(20)]
    better = [replace(row, id=f"{row.id}.{n}") for n, row in enumerate(better)]
    worse = [replace(row, predicted="a") for row in better]
    labels = label_differences(zip(better, worse, strict=True), kind="text_classification")
    assert [(one.label, one.gold, one.first, one.second) for one in labels] == [
        ("b", 60, 1.0, 0.0),
        ("a", 60, 1.0, pytest.approx(2 / 3)),
    ]
    for one in labels:
        assert one.difference.low <= one.difference.value <= one.difference.high
    assert labels[1].difference.low > 0
    test = paired_test(better, worse, kind="text_classification", metric="macro_f1")
    mean = sum(one.difference.value for one in labels) / 2
    assert test.difference == pytest.approx(mean)


def test_scores_have_no_labels() -> None:
    rows = [Prediction(id="1", text="t", pair="u", gold=1.0, predicted=2.0)]
    assert label_differences(zip(rows, rows, strict=True), kind="pair_matching") == []
    assert label_differences([], kind="pair_matching") == []
