"""Samples are picked whatever their score, and the worst rows come first with what is needed to judge them."""

from dataclasses import replace

import pytest

from tunesmith.core.example import Source, Span
from tunesmith.core.prediction import Prediction, ScoredSpan
from tunesmith.judge.written_rows import SAMPLES, WORST, samples, worst


def texts(count: int) -> list[Prediction]:
    """Row i repeats the first i % 5 of the four words of its reference."""
    words = ["please", "send", "it", "back"]
    return [
        Prediction(
            id=f"r{i}", text=f"question {i}", gold=("please send it back", "no"), predicted=" ".join(words[: i % 5]),
            source=Source("a.jsonl", i + 1),
        )
        for i in range(count)
    ]  # fmt: skip


def test_samples_are_the_same_rows_for_every_model_and_order() -> None:
    rows = texts(200)
    other = [replace(row, predicted="something else") for row in reversed(rows)]
    first, second = (samples(one, form="texts", main="rouge_l") for one in (rows, other))
    assert [row["id"] for row in first] == [row["id"] for row in second]
    assert len(first) == SAMPLES and len({row["value"] for row in first}) > 1
    assert len(samples(rows[:3], form="texts", main="rouge_l")) == 3


def test_the_lowest_scores_come_first_and_right_answers_are_left_out() -> None:
    found, seen = worst(texts(200), form="texts", main="token_f1")
    assert seen == 160 and len(found) == WORST
    values = [row["value"] for row in found]
    assert values == sorted(values) and values[0] == 0
    assert found[0]["gold"] == ["please send it back", "no"] and found[0]["said"] == ""
    assert found[0]["source"].startswith("a.jsonl:")
    assert worst(texts(5)[4:], form="texts", main="token_f1") == ([], 0)


def test_many_references_are_cut_and_equal_ones_shown_once() -> None:
    row = replace(texts(1)[0], gold=("a", "a", "b", "c", "d", "e", "f"))
    (shown,) = samples([row], form="texts", main="rouge_l")
    assert shown["gold"] == ["a", "b", "c", "d", "e"] and shown["more_gold"] == 1


def test_a_metric_of_one_side_only_leaves_the_rows_their_usual_one() -> None:
    row = Prediction(id="1", text="Oslo", pair="Where?", gold=(), predicted=())
    assert samples([row], form="answers", main="no_answer_accuracy")[0]["value"] == 1


@pytest.mark.parametrize(
    "gold, predicted, marked",
    [
        ((Span(500, 504, "answer"),), (), "Oslo"),
        ((), (ScoredSpan(500, 504, "answer", 0.5),), "Oslo"),
        ((), (), ""),
    ],
)
def test_the_context_is_cut_around_the_answer(
    gold: tuple[Span, ...], predicted: tuple[ScoredSpan, ...], marked: str
) -> None:
    row = Prediction(id="1", text="x" * 500 + "Oslo" + "\x1b" * 500, pair="Where?", gold=gold, predicted=predicted)
    (shown,) = samples([row], form="answers", main="f1")
    context = shown["context"]
    assert shown["asked"] == "Where?" and context["answer"] == marked
    assert sum(map(len, context.values())) < 400
    assert "\x1b" not in "".join(context.values())
