"""The worst errors come first, every label has some, and nothing in a text can act."""

import random

import pytest

from tunesmith.core.example import Source, Span
from tunesmith.core.prediction import Prediction, ScoredSpan
from tunesmith.judge.errors_table import PER_LABEL, SHOWN, error_record, mistake_of, visible, worst_errors


def wrong(i: int, sure: float, *, gold: str = "a", said: str = "b") -> Prediction:
    return Prediction(id=f"{i:05d}", text=f"t{i}", gold=gold, predicted=said, scores={said: sure, gold: 1 - sure})


def test_confident_and_wrong_comes_first_whatever_the_order() -> None:
    rows = [wrong(i, (i % 997) / 997) for i in range(2000)]
    first, seen = worst_errors(rows)
    random.Random(0).shuffle(rows)
    again, _ = worst_errors(rows)
    assert seen == 2000
    assert [m.prediction.id for m in first] == [m.prediction.id for m in again]
    severities = [m.severity for m in first]
    assert severities == sorted(severities, reverse=True)
    assert severities[0] == pytest.approx(996 / 997)
    assert len(first) <= SHOWN + 2 * PER_LABEL


def test_a_rare_label_is_not_crowded_out() -> None:
    rows = [wrong(i, 0.9) for i in range(500)] + [wrong(900, 0.2, gold="rare", said="c")]
    found, _ = worst_errors(rows)
    assert any("rare" in mistake.labels for mistake in found)


def test_right_answers_and_unlabelled_rows_are_no_errors() -> None:
    rows = [
        Prediction(id="1", text="t", gold="a", predicted="a"),
        Prediction(id="2", text="t", predicted="a"),
        Prediction(id="3", text="t", gold=(), predicted=()),
        Prediction(id="4", text="t", gold=("a", "b"), predicted=("b", "a")),
        Prediction(id="5", text="t", gold=(Span(0, 1, "A"),), predicted=(ScoredSpan(0, 1, "A", 0.2),)),
        Prediction(id="6", text="t", gold=2.0, predicted=2.0),
    ]
    assert worst_errors(rows) == ([], 0)


def test_severity_of_each_form() -> None:
    spans = Prediction(
        id="1", text="x" * 20, gold=(Span(0, 3, "A"), Span(5, 8, "A")), predicted=(ScoredSpan(5, 9, "A", 0.8),)
    )
    sets = Prediction(
        id="2", text="t", gold=("a",), predicted=("b",), scores={"a": 0.4, "b": 0.7},
    )  # fmt: skip
    found = [mistake_of(row) for row in (spans, sets, Prediction(id="3", text="t", gold=2.0, predicted=3.5))]
    assert [mistake.severity for mistake in found if mistake] == pytest.approx([0.8, 0.7, 1.5])


def test_pieces_put_together_are_the_text() -> None:
    text = "Ann met Bob in Rome yesterday"
    row = Prediction(
        id="1", text=text, gold=(Span(0, 3, "PER"), Span(8, 11, "PER"), Span(15, 19, "LOC")),
        predicted=(ScoredSpan(0, 3, "PER", 0.9), ScoredSpan(8, 14, "PER", 0.6)), source=Source("a.conll", 12),
    )  # fmt: skip
    mistake = mistake_of(row)
    assert mistake is not None
    record = error_record(mistake)
    for side in ("gold_pieces", "predicted_pieces"):
        assert "".join(piece["text"] for piece in record[side]) == text
    marked = [(p["text"], p["label"], p["fate"]) for p in record["gold_pieces"] if "label" in p]
    assert marked == [("Ann", "PER", "correct"), ("Bob", "PER", "boundary"), ("Rome", "LOC", "missed")]
    assert record["source"] == "a.conll:12"
    assert record["fates"] == ["boundary", "missed"]


def test_a_long_text_is_shown_around_its_error() -> None:
    row = Prediction(id="1", text="w " * 50_000, gold=(Span(60_000, 60_001, "A"),), predicted=())
    mistake = mistake_of(row)
    assert mistake is not None
    record = error_record(mistake)
    assert sum(len(piece["text"]) for piece in record["gold_pieces"]) < 700
    assert any(piece.get("label") == "A" for piece in record["gold_pieces"])
    assert len(record["text"]) <= 600


def test_control_characters_become_visible_one_for_one() -> None:
    text = "a\x1b[31mred\x00\u202egnp.exe\x9b\n\tend"
    shown = visible(text)
    assert len(shown) == len(text)
    assert "\x1b" not in shown and "\u202e" not in shown and "\x9b" not in shown and "\x00" not in shown
    assert shown.endswith("\n\tend") and "␛[31mred␀" in shown
