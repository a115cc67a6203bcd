"""What a gold answer may be for each kind of task, and when an answer is entirely right."""

import pytest

from tunesmith.core.errors import DataError
from tunesmith.core.example import Gold, LabelAndSpans, Node, Source, Span
from tunesmith.core.prediction import Answer, LabelAndScoredSpans, Prediction, ScoredSpan
from tunesmith.judge.forms import FORMS, form_of, right, taken_for
from tunesmith.judge.scoring import score

TEXT = "Ann lives in Oslo"
OSLO, ANN = Span(13, 17, "answer"), Span(0, 3, "answer")


def row(gold: Gold | None, predicted: Answer, *, text: str = TEXT) -> Prediction:
    return Prediction(id="7", text=text, pair="Where?", gold=gold, predicted=predicted, source=Source("x.jsonl", 9))


def said(*spans: Span) -> tuple[ScoredSpan, ...]:
    return tuple(ScoredSpan(span.start, span.end, span.label, 0.9) for span in spans)


@pytest.mark.parametrize(
    "kind, gold, form",
    [
        ("token_classification", (OSLO,), "spans"),
        ("token_classification", (), "spans"),
        ("text_classification", "a", "labels"),
        ("text_classification", ("a", "b"), "multilabel"),
        ("joint_classification", LabelAndSpans("a", (OSLO,)), "joint"),
        ("hierarchical_classification", (Node("a"), Node("a/b")), "paths"),
        ("pair_matching", "a", "labels"),
        ("pair_matching", 3.5, "scores"),
        ("pair_matching", 3, "scores"),
        ("generation", "a", "texts"),
        ("generation", ("a", "b"), "texts"),
        ("extractive_qa", (OSLO,), "answers"),
        ("extractive_qa", (), "answers"),
    ],
)
def test_the_gold_answer_says_the_form(kind: str, gold: Gold, form: str) -> None:
    assert form_of(row(gold, ""), kind) == form


@pytest.mark.parametrize(
    "kind, gold",
    [
        ("token_classification", "a"),
        ("text_classification", 3.5),
        ("text_classification", LabelAndSpans("a", ())),
        ("token_classification", LabelAndSpans("a", ())),
        ("joint_classification", "a"),
        ("joint_classification", (OSLO,)),
        ("pair_matching", ("a",)),
        ("generation", 3.5),
        ("extractive_qa", "Oslo"),
        ("generation", None),
    ],
)
def test_another_gold_answer_is_refused_by_line(kind: str, gold: Gold | None) -> None:
    with pytest.raises(DataError, match=r"x.jsonl:9.*TS-JUDGE-00[12]|TS-JUDGE-00[12].*x.jsonl:9"):
        form_of(row(gold, ""), kind)


@pytest.mark.parametrize(
    "kind, gold, predicted",
    [
        ("generation", "a", ("a",)),
        ("generation", (), "a"),
        ("generation", (OSLO,), "a"),
        ("joint_classification", LabelAndSpans("a", ()), "a"),
        ("extractive_qa", (OSLO,), "Oslo"),
        ("extractive_qa", ("Oslo",), ()),
        ("extractive_qa", (OSLO,), said(ANN, OSLO)),
    ],
)
def test_an_answer_of_another_shape_is_refused(kind: str, gold: Gold, predicted: Answer) -> None:
    with pytest.raises(DataError, match="TS-JUDGE-002"):
        score([row(gold, predicted)], kind=kind, replicates=0)


@pytest.mark.parametrize(
    "kind, gold, predicted, expected",
    [
        ("token_classification", (OSLO, ANN), said(ANN, OSLO), True),
        ("token_classification", (OSLO, ANN), said(ANN), False),
        ("text_classification", "a", "a", True),
        ("text_classification", ("a", "b"), ("b", "a"), True),
        ("text_classification", ("a", "b"), ("b",), False),
        ("joint_classification", LabelAndSpans("a", (OSLO, ANN)), LabelAndScoredSpans("a", said(ANN, OSLO)), True),
        ("joint_classification", LabelAndSpans("a", (OSLO,)), LabelAndScoredSpans("b", said(OSLO)), False),
        ("joint_classification", LabelAndSpans("a", (OSLO,)), LabelAndScoredSpans("a", ()), False),
        ("pair_matching", 2.0, 2.0, None),
        ("generation", ("The cat.", "a dog"), "cat", True),
        ("generation", "cat", "cats", False),
        ("extractive_qa", (ANN, OSLO), said(OSLO), True),  # either reference will do
        ("extractive_qa", (OSLO,), said(Span(10, 17, "answer")), False),
        ("extractive_qa", (), (), True),
        ("extractive_qa", (), said(ANN), False),
    ],
)
def test_when_an_answer_is_right(kind: str, gold: Gold, predicted: Answer, expected: bool | None) -> None:
    assert right(row(gold, predicted), kind) is expected


def test_the_language_of_the_context_decides_how_answers_are_cut() -> None:
    chinese = row((Span(3, 7, "answer"),), said(Span(3, 5, "answer")), text="她住在北京大学旁边")
    assert FORMS["answers"].row(chinese)["f1", ""] == pytest.approx(2 * 2 / 6)


def test_only_labels_and_entities_are_taken_for_one_another() -> None:
    assert taken_for(row("a", "b"), "labels") == [("a", "b")]
    assert taken_for(row((OSLO,), ()), "spans") == [("answer", "")]
    assert taken_for(row(LabelAndSpans("a", (OSLO,)), LabelAndScoredSpans("b", ())), "joint") == [("a", "b")]
    assert taken_for(row("a", "b"), "texts") == taken_for(row((OSLO,), ()), "answers") == []
