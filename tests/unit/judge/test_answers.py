"""Short answers are compared as the scripts of SQuAD, SQuAD 2.0 and CMRC 2018 compare them."""

import random

import numpy as np
import pytest

from tunesmith.judge.metrics import answers
from tunesmith.judge.metrics.answer_words import exact_match, token_f1
from tunesmith.judge.metrics.counts import Counts


@pytest.mark.parametrize(
    "gold, said, exact, f1",
    [
        ("The Eiffel Tower", "eiffel tower.", 1, 1),
        ("Eiffel Tower", "the tall Eiffel Tower", 0, 4 / 5),
        ("in 1998", "1998", 0, 2 / 3),
        ("well-known", "wellknown", 1, 1),  # punctuation goes without a blank in its place
        ("theatre an", "theatre", 1, 1),  # articles are whole words
        ("to be or not to be", "to be to be to", 0, 8 / 11),  # "to" stands twice in the gold
        ("cat", "dog", 0, 0),
        ("cat", "", 0, 0),
        ("", "", 1, 1),
        ("£20", "£ 20", 0, 0),  # a sign outside ASCII is no punctuation
    ],
)
def test_english_answers(gold: str, said: str, exact: float, f1: float) -> None:
    assert exact_match([gold], said, "latin") == exact
    assert token_f1([gold], said, "latin") == pytest.approx(f1)


@pytest.mark.parametrize(
    "gold, said, exact, f1",
    [
        ("《红楼梦》", "红楼梦", 1, 1),
        ("红楼梦", "小说红楼梦", 0, 6 / 8),
        ("北京大学", "北方大学", 0, 4 / 8),  # the longest run is 大学; 北 stands apart from it
        ("1998年6月", "1998年", 0, 4 / 6),  # 1998 年 6 月
        ("WTO组织", "wto", 0, 2 / 4),
        ("3.5米", "35米", 0, 2 / 4),  # a point within a number stays
        ("2008-2010", "20082010", 1, 1),
        ("红", "绿", 0, 0),
        ("，", "", 1, 1),
    ],
)
def test_chinese_answers(gold: str, said: str, exact: float, f1: float) -> None:
    assert exact_match([gold], said, "chinese") == exact
    assert token_f1([gold], said, "chinese") == pytest.approx(f1)


@pytest.mark.parametrize("seed", range(10))
def test_the_shared_run_is_the_longest_of_all(seed: int) -> None:
    rng = random.Random(seed)
    gold, said = ("".join(rng.choice("天地人") for _ in range(rng.randint(1, 12))) for _ in range(2))
    runs = {gold[i:j] for i in range(len(gold)) for j in range(i, len(gold) + 1)}
    longest = max(len(run) for run in runs if run in said)
    assert token_f1([gold], said, "chinese") == pytest.approx(2 * longest / (len(gold) + len(said)))


def test_the_best_reference_counts() -> None:
    assert exact_match(["a dog", "the cat"], "cat", "latin") == 1
    assert token_f1(["big dog", "cat"], "big cat", "latin") == pytest.approx(2 / 3)


def test_questions_with_and_without_an_answer_stand_apart() -> None:
    rows = [
        answers.row(("Ann Lee",), "Ann", "latin"),
        answers.row(("Bob",), "bob", "latin"),
        answers.row(("Cid",), "", "latin"),
        answers.row((), "", "latin"),
        answers.row((), "Dan", "latin"),
    ]
    found = answers.metrics(Counts.of(rows))
    assert found["f1"] == pytest.approx((2 / 3 + 1 + 0 + 1 + 0) / 5)
    assert found["exact_match"] == 2 / 5
    assert found["has_answer_f1"] == pytest.approx((2 / 3 + 1) / 3)
    assert found["has_answer_exact_match"] == pytest.approx(1 / 3)
    assert found["no_answer_accuracy"] == 1 / 2


def test_where_every_question_has_an_answer_there_is_one_side_only() -> None:
    assert set(answers.metrics(Counts.of([answers.row(("a",), "a", "latin")]))) == {"f1", "exact_match"}
    assert set(answers.metrics(Counts.of([answers.row((), "", "latin")]))) == {"f1", "exact_match"}


def test_a_side_that_was_not_drawn_is_not_a_number() -> None:
    rows = [answers.row(("a",), "a", "latin"), answers.row((), "", "latin")]
    columns = sorted({column for row in rows for column in row})
    drawn = np.array([[row.get(column, 0.0) for row in rows] for column in columns]) @ np.array([[1, 0], [0, 2]])
    found = answers.metrics(Counts(columns, drawn))
    assert np.isnan(found["no_answer_accuracy"]).tolist() == [True, False]
    assert np.isnan(found["has_answer_f1"]).tolist() == [False, True]
