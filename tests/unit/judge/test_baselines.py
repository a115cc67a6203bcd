"""Baselines are deterministic, see no test label, and are as strong as they claim."""

from dataclasses import replace

import pytest

from tunesmith.core.errors import UsageError
from tunesmith.core.example import Example, Gold, Source, Span
from tunesmith.core.prediction import Prediction, ScoredSpan
from tunesmith.judge import baselines as module
from tunesmith.judge import entity_dictionary, written_baselines
from tunesmith.judge.baselines import baselines, thinned
from tunesmith.judge.scoring import score


def example(text: str, gold: Gold | None, *, pair: str | None = None, words: bool = False) -> Example:
    borders = None
    if words:
        place, found = 0, []
        for word in text.split(" "):
            found.append((place, place + len(word)))
            place += len(word) + 1
        borders = tuple(found)
    return Example(id=text, text=text, gold=gold, pair=pair, source=Source("f", 1), words=borders)


KINDS_OF_SPANS = ("token_classification", "extractive_qa")
TRAIN = [
    example("Ann Lee flew to New York City", (Span(0, 7, "PER"), Span(16, 29, "LOC")), words=True),
    example("New York is large", (Span(0, 8, "LOC"),), words=True),
    example("May I go in May", (Span(12, 15, "DATE"),), words=True),
    example("May came in May or so May be", (Span(0, 3, "PER"),), words=True),
]


def test_the_dictionary_takes_the_longest_match_and_drops_doubtful_names() -> None:
    names = entity_dictionary.learn(TRAIN)
    assert ("New", "York") in names.types and ("New", "York", "City") in names.types
    assert ("May",) not in names.types, "an entity in 2 of 5 places, with two types"
    found = entity_dictionary.find(names, example("Go to New York City or New York", (), words=True))
    assert [(span.start, span.end, span.label) for span in found] == [(6, 19, "LOC"), (23, 31, "LOC")]


def test_a_name_cut_off_by_the_end_of_the_text_is_no_match() -> None:
    names = entity_dictionary.learn([example("Rio de Janeiro", (Span(0, 14, "LOC"),), words=True)])
    assert entity_dictionary.find(names, example("to Rio de", (), words=True)) == ()


def test_the_dictionary_reads_chinese_by_characters_and_plain_text_by_words() -> None:
    names = entity_dictionary.learn(
        [example("我在北京工作", (Span(2, 4, "LOC"),)), example("(Ann)", (Span(1, 4, "PER"),))]
    )
    found = entity_dictionary.find(names, example("北京和 Ann, 上海", ()))
    assert [(span.start, span.end, span.label) for span in found] == [(0, 2, "LOC"), (4, 7, "PER")]


def test_entities() -> None:
    found = baselines("token_classification", TRAIN, TRAIN)
    assert list(found) == ["all_outside", "dictionary"]
    assert all(prediction.predicted == () for prediction in found["all_outside"])
    assert score(found["dictionary"], kind="token_classification", replicates=0).metrics["span_precision"].value == 1
    without = baselines("token_classification", [example("nothing here", ())], TRAIN)
    assert list(without) == ["all_outside"]


def test_labels() -> None:
    texts = {"refund": "I want my money back {}", "parcel": "where is my parcel {}", "thanks": "thank you {}"}
    rows = [example(text.format(i), label) for i in range(20) for label, text in texts.items()]
    rows += [example(f"money back now {i}", "refund") for i in range(9)]
    found = baselines("text_classification", rows[:40] + rows[60:], rows[40:60])
    assert {prediction.predicted for prediction in found["majority"]} == {"refund"}
    assert score(found["tfidf_logistic"], kind="text_classification", replicates=0).metrics["accuracy"].value == 1
    first = found["tfidf_logistic"][0]
    assert first.confidence == max(first.scores.values()) and set(first.scores) == set(texts)


def test_chinese_labels_are_told_apart_by_characters() -> None:
    rows = [example(f"请给我退款{i}号订单", "退款") for i in range(12)]
    rows += [example(f"快递到哪里了{i}号", "物流") for i in range(12)]
    found = baselines("text_classification", rows[::2], rows[1::2])
    assert score(found["tfidf_logistic"], kind="text_classification", replicates=0).metrics["accuracy"].value == 1


def test_one_class_only_leaves_the_majority() -> None:
    rows = [example(f"t{i}", "a") for i in range(5)]
    assert list(baselines("text_classification", rows, rows)) == ["majority"]


def test_several_labels() -> None:
    rows = [example(f"cheap {i}", ("price",)) for i in range(15)] + [example(f"late {i}", ("time",)) for i in range(10)]
    rows += [example(f"cheap but late {i}", ("price", "time")) for i in range(10)] + [example("so so", ())]
    found = baselines("text_classification", rows, rows)
    assert {prediction.predicted for prediction in found["majority"]} == {("price", "time")}
    metrics = score(found["tfidf_logistic"], kind="text_classification", replicates=0).metrics
    assert metrics["micro_f1"].value > 0.95


def test_pairs_with_classes_use_what_the_texts_share() -> None:
    words = [f"word{i}" for i in range(60)]
    rows = []
    for i in range(120):
        a = " ".join(words[(i * 7 + k * 11) % 60] for k in range(4))
        b = a if i % 2 else " ".join(words[(i * 5 + k * 13 + 3) % 60] for k in range(4))
        rows.append(replace(example(a, "same" if i % 2 else "other", pair=b), id=str(i)))
    found = baselines("pair_matching", rows[:80], rows[80:])
    assert score(found["tfidf_logistic"], kind="pair_matching", replicates=0).metrics["accuracy"].value > 0.9


def test_scores() -> None:
    rows = [example(f"a b c {i}", 5.0, pair=f"a b c {i}") for i in range(8)]
    rows += [example(f"a b c {i}", 1.0, pair=f"x y z {i}") for i in range(8)]
    found = baselines("pair_matching", rows, rows)
    assert list(found) == ["mean", "tfidf_cosine"]
    assert found["mean"][0].predicted == pytest.approx(3)
    assert score(found["tfidf_cosine"], kind="pair_matching", replicates=0).metrics["spearman"].value > 0.8


def test_written_answers() -> None:
    rows = [example(f"where is parcel {i}", ("It is on its way.", "Soon.")) for i in range(4)]
    rows += [example(f"I want to return lamp {i}", f"Send lamp {i} back.") for i in range(3)]
    found = baselines("generation", rows, [example("return the lamp 2 please", "x"), example("my parcel", "y")])
    assert list(found) == ["frequent_answer", "nearest_answer"]
    assert [row.predicted for row in found["frequent_answer"]] == ["It is on its way."] * 2
    assert [row.predicted for row in found["nearest_answer"]] == ["Send lamp 2 back.", "It is on its way."]
    assert list(baselines("generation", [example(" ", "a")], rows)) == ["frequent_answer"]
    assert baselines("generation", [], rows) == {}


def test_answers_from_a_text() -> None:
    text = "Ann lives in Oslo. Bob mends violins, 3.5 a day!  Who knows?\n在北京。她来了"
    assert [text[start:end] for start, end in written_baselines.sentences(text)] == [
        "Ann lives in Oslo.", "Bob mends violins, 3.5 a day!", "Who knows?", "在北京。", "她来了",
    ]  # fmt: skip
    rows = [
        example(text, (Span(0, 3, "answer"),), pair="violins mended by whom, 3.5 a day"),
        example(text, (), pair="Ann lives where?"),
    ]
    found = baselines("extractive_qa", rows, rows)
    assert list(found) == ["no_answer", "most_similar_sentence"]
    assert all(row.predicted == () for row in found["no_answer"])
    assert [said(row) for row in found["most_similar_sentence"]] == [
        "Bob mends violins, 3.5 a day!", "Ann lives in Oslo.",
    ]  # fmt: skip
    assert list(baselines("extractive_qa", rows[:1], [example("", (), pair="?")])) == ["most_similar_sentence"]
    assert baselines("extractive_qa", [], rows) == {}


def said(row: Prediction) -> str:
    assert isinstance(row.predicted, tuple)
    (span,) = (span for span in row.predicted if isinstance(span, ScoredSpan))
    return row.text[span.start : span.end]


@pytest.mark.parametrize(
    "kind, gold",
    [
        ("text_classification", "a"),
        ("token_classification", ()),
        ("generation", "a"),
        ("extractive_qa", (Span(0, 3, "answer"),)),
    ],
)
def test_a_baseline_does_not_look_at_test_labels(kind: str, gold: Gold) -> None:
    train = TRAIN if kind in KINDS_OF_SPANS else [example(f"t {i}", "ab"[i % 2]) for i in range(10)]
    test = [example(f"New York t {i}", gold) for i in range(4)]
    blind = [replace(row, gold=None) for row in test]
    seen, unseen = baselines(kind, train, test), baselines(kind, train, blind)
    for name, rows in seen.items():
        assert [row.predicted for row in rows] == [row.predicted for row in unseen[name]]


def test_texts_without_words_do_not_break_it() -> None:
    rows = [example("!!!" + "!" * i, "a") for i in range(4)] + [example("??" + "?" * i, "b") for i in range(4)]
    assert "tfidf_logistic" in baselines("text_classification", rows, rows)


def test_huge_training_sets_are_thinned_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ROWS", 10)
    rows = [example(str(i), "a") for i in range(100)]
    kept = thinned(rows)
    assert len(kept) == 10 and (kept[0], kept[-1]) == (rows[0], rows[-1])


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(UsageError, match="TS-JUDGE-003"):
        baselines("summarisation", [], [])
