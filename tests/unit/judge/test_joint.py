"""A label and the entities of a text as one answer: counted by hand, and each kind of label in books of its own."""

import random

import pytest

from tunesmith.core.example import Example, LabelAndSpans, Source, Span
from tunesmith.core.prediction import LabelAndScoredSpans, Prediction, ScoredSpan
from tunesmith.judge.baselines import baselines
from tunesmith.judge.errors_table import error_record, mistake_of
from tunesmith.judge.paired import paired_test
from tunesmith.judge.paired_labels import label_differences
from tunesmith.judge.scoring import score

KIND = "joint_classification"
TEXT = "play jazz by Anna now"
JAZZ, ANNA = Span(5, 9, "genre"), Span(13, 17, "artist")


def row(number: int, gold: tuple[str, tuple[Span, ...]], said: tuple[str, tuple[Span, ...]]) -> Prediction:
    spans = tuple(ScoredSpan(span.start, span.end, span.label, 0.75) for span in said[1])
    return Prediction(
        id=str(number),
        text=TEXT,
        gold=LabelAndSpans(*gold),
        predicted=LabelAndScoredSpans(said[0], spans),
        confidence=0.6,
        scores={said[0]: 0.6, "other": 0.4},
        source=Source("x", number),
    )


ROWS = [
    row(1, ("play", (JAZZ, ANNA)), ("play", (ANNA, JAZZ))),
    row(2, ("play", (JAZZ,)), ("stop", (JAZZ,))),
    row(3, ("stop", ()), ("stop", (ANNA,))),
    row(4, ("stop", (ANNA,)), ("stop", ())),
]


def test_right_means_the_label_and_every_entity() -> None:
    scores = score(ROWS, kind=KIND)
    values = {name: metric.value for name, metric in scores.metrics.items()}
    assert next(iter(values)) == scores.main == "joint_accuracy"
    assert values["joint_accuracy"] == 0.25 and values["label_accuracy"] == 0.75
    assert values["span_precision"] == values["span_recall"] == 0.75 == pytest.approx(values["span_f1"])
    assert values["label_macro_f1"] == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert scores.confusion == {("play", "play"): 1, ("play", "stop"): 1, ("stop", "stop"): 2}
    assert scores.fates and (scores.fates["correct"], scores.fates["missed"], scores.fates["spurious"]) == (3, 1, 1)
    for metric in scores.metrics.values():
        assert 0 <= metric.low <= metric.value <= metric.high <= 1


def test_it_equals_brute_force_on_drawn_rows() -> None:
    draw = random.Random(3)
    rows = []
    for number in range(200):
        golds, saids = ([s for s in (JAZZ, ANNA) if draw.random() < 0.6] for _ in range(2))
        rows.append(row(number, (draw.choice("ab"), tuple(golds)), (draw.choice("ab"), tuple(saids))))
    exact = sum(one.gold == one.predicted.plain() for one in rows if isinstance(one.predicted, LabelAndScoredSpans))
    assert score(rows, kind=KIND, replicates=0).metrics["joint_accuracy"].value == exact / 200


def test_a_label_and_a_type_of_the_same_name_are_counted_apart() -> None:
    both = [row(1, ("genre", (JAZZ,)), ("genre", ())), row(2, ("other", ()), ("other", ()))]
    labels = {(one.part, one.label): one.f1.value for one in score(both, kind=KIND).labels}
    assert labels == {("label", "genre"): 1.0, ("label", "other"): 1.0, ("entity", "genre"): 0.0}
    better = [row(1, ("genre", (JAZZ,)), ("genre", (JAZZ,))), both[1]]
    (first, *others) = label_differences(zip(better, both, strict=True), kind=KIND)
    assert (first.part, first.label, first.difference.value) == ("entity", "genre", 1.0)
    assert all(one.difference.value == 0 for one in others)
    test = paired_test(better, both, kind=KIND, metric="joint_accuracy")
    assert (test.first, test.second, test.test) == (1.0, 0.5, "approximate randomisation")


def test_no_entity_anywhere_is_no_evidence_against_the_model() -> None:
    scores = score([row(n, ("ab"[n % 2], ()), ("a", ())) for n in range(20)], kind=KIND)
    assert scores.metrics["joint_accuracy"].value == 0.5
    assert scores.metrics["span_f1"].low == scores.metrics["span_f1"].high == 0.0, "nothing was measured"


def test_what_is_wrong_is_shown_whichever_part_it_is() -> None:
    assert mistake_of(ROWS[0]) is None
    label, invented, missed = (mistake_of(one) for one in ROWS[1:])
    assert label and label.severity == 0.6 and label.labels == ("play", "stop")
    record = error_record(label)
    assert (record["gold"], record["predicted"], record["fates"]) == (["play"], ["stop"], [])
    assert [piece.get("label") for piece in record["gold_pieces"]] == [None, "genre", None]
    assert invented and invented.severity == 0.75 and error_record(invented)["fates"] == ["spurious"]
    assert missed and missed.severity == 0.5 and missed.labels == ("artist",)
    bare = mistake_of(row(9, ("play", ()), ("stop", ())))
    assert bare and "gold_pieces" not in error_record(bare)


def test_the_baselines_answer_both_at_once() -> None:
    def example(number: int, label: str, *spans: Span) -> Example:
        text = TEXT if label == "play" else "please stop now"
        return Example(id=str(number), text=text, gold=LabelAndSpans(label, spans), source=Source("x", number + 1))

    train = [example(n, "play", JAZZ, ANNA) for n in range(6)] + [example(n, "stop") for n in range(6, 10)]
    found = baselines(KIND, train, train)
    assert list(found) == ["majority_outside", "tfidf_dictionary"]
    assert {said.predicted for said in found["majority_outside"]} == {LabelAndScoredSpans("play", ())}
    assert score(found["majority_outside"], kind=KIND).metrics["joint_accuracy"].value == 0.0
    assert score(found["tfidf_dictionary"], kind=KIND).metrics["joint_accuracy"].value == 1.0
    assert list(baselines(KIND, train[:6], train[:2])) == ["majority_outside"], "one label only"
