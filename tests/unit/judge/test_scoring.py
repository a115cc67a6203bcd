"""`score` reads a stream once, in flat memory, and its answer does not depend on the order of the rows."""

import random
import tracemalloc
from collections.abc import Iterator

import pytest

from tunesmith.core.errors import DataError, UsageError
from tunesmith.core.example import Source, Span
from tunesmith.core.prediction import Prediction, ScoredSpan
from tunesmith.judge.scoring import Scores, score


def label_rows(count: int, *, group_size: int | None = None, right: float = 0.8) -> Iterator[Prediction]:
    rng = random.Random(7)
    lucky = True
    for i in range(count):
        if group_size is None or i % group_size == 0:
            lucky = rng.random() < right
        gold = rng.choice("abc")
        yield Prediction(
            id=f"r{i}", text="t", gold=gold, predicted=gold if lucky else "abc"["bca".index(gold)],
            group=None if group_size is None else f"g{i // group_size}",
        )  # fmt: skip


def span_rows(count: int) -> Iterator[Prediction]:
    rng = random.Random(3)
    for i in range(count):
        gold = tuple(Span(10 * k, 10 * k + 4, rng.choice("AB")) for k in range(rng.randint(0, 3)))
        said = tuple(ScoredSpan(s.start, s.end, rng.choice("AAB"), 0.9) for s in gold if rng.random() < 0.8)
        yield Prediction(id=f"r{i}", text="x" * 40, gold=gold, predicted=said)


def set_rows(count: int) -> Iterator[Prediction]:
    rng = random.Random(4)
    for i in range(count):
        scores = {name: rng.random() for name in "abcd"}
        gold = tuple(name for name in "abcd" if rng.random() < 0.3)
        said = tuple(name for name, value in scores.items() if value > 0.6)
        yield Prediction(id=f"r{i}", text="t", gold=gold, predicted=said, scores=scores)


def number_rows(count: int) -> Iterator[Prediction]:
    rng = random.Random(5)
    for i in range(count):
        gold = rng.uniform(0, 5)
        yield Prediction(id=f"r{i}", text="t", pair="u", gold=gold, predicted=gold + rng.gauss(0, 1))


def text_rows(count: int) -> Iterator[Prediction]:
    rng = random.Random(6)
    for i in range(count):
        gold = [" ".join(rng.choice("abcdefg") for _ in range(rng.randint(1, 9))) for _ in range(rng.randint(1, 2))]
        said = " ".join(letter for letter in gold[0].split() if rng.random() < 0.8)
        yield Prediction(id=f"r{i}", text="t", gold=tuple(gold), predicted=said)


def answer_rows(count: int) -> Iterator[Prediction]:
    rng = random.Random(8)
    for i in range(count):
        gold = (Span(2, 5 + 2 * rng.randint(0, 4), "answer"),) if rng.random() < 0.8 else ()
        said = (ScoredSpan(2, 5, "answer", 0.9),) if rng.random() < 0.9 else ()
        yield Prediction(id=f"r{i}", text="a b c d e f g h i j k l", pair="q", gold=gold, predicted=said)


CASES = {
    "generation": (text_rows, "texts", "rouge_l"),
    "extractive_qa": (answer_rows, "answers", "f1"),
    "token_classification": (span_rows, "spans", "span_f1"),
    "text_classification": (label_rows, "labels", "accuracy"),
    "pair_matching": (number_rows, "scores", "spearman"),
}


@pytest.mark.parametrize("kind", CASES)
def test_the_order_of_the_rows_has_no_say(kind: str) -> None:
    make, form, main = CASES[kind]
    rows = list(make(400))
    first = score(rows, kind=kind, replicates=200)
    random.Random(1).shuffle(rows)
    second = score(rows, kind=kind, replicates=200)
    assert (first.form, first.main) == (form, main)
    for name, metric in first.metrics.items():
        other = second.metrics[name]
        assert (metric.value, metric.low, metric.high) == pytest.approx((other.value, other.low, other.high))
    assert [row.as_record() for row in first.labels] == [row.as_record() for row in second.labels]
    assert first.confusion == second.confusion


def test_several_labels() -> None:
    found = score(set_rows(300), kind="text_classification", replicates=100)
    assert found.form == "multilabel"
    assert {"micro_f1", "macro_f1", "subset_accuracy", "ranking_average_precision"} == set(found.metrics)
    assert found.confusion is None
    assert [row.label for row in found.labels] == ["a", "b", "c", "d"]


@pytest.mark.parametrize("make, kind", [(span_rows, "token_classification"), (label_rows, "text_classification")])
def test_memory_does_not_grow_with_the_split(make: object, kind: str) -> None:
    assert callable(make)

    def peak(count: int) -> int:
        tracemalloc.start()
        score(make(count), kind=kind, replicates=200)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    peak(600)
    assert peak(4000) < peak(800) * 1.25


def test_rows_of_one_document_are_drawn_together() -> None:
    alone = score(label_rows(600), kind="text_classification")
    together = score(label_rows(600, group_size=12), kind="text_classification")
    assert together.groups and together.as_record()["resampled_by"] == "document"
    assert alone.as_record()["resampled_by"] == "row"

    def width(scores: Scores) -> float:
        return scores.headline.high - scores.headline.low

    # Twelve rows of a document share their fate, so the interval is about sqrt(12) wider.
    assert 2.2 < width(together) / width(alone) < 5


def test_perfect_answers_keep_their_doubt() -> None:
    rows = [Prediction(id=str(i), text="t", gold="a", predicted="a") for i in range(30)]
    found = score(rows, kind="text_classification").metrics["accuracy"]
    assert found.value == found.high == 1
    assert found.low == pytest.approx(0.025 ** (1 / 30))
    grouped = [Prediction(id=str(i), text="t", gold="a", predicted="a", group=str(i // 10)) for i in range(30)]
    assert score(grouped, kind="text_classification").metrics["accuracy"].low < 0.5, "three documents prove little"


def test_what_lies_beyond_the_window_counts_as_missed() -> None:
    row = Prediction(
        id="1", text="a" * 50, gold=(Span(0, 3, "A"), Span(40, 44, "A")), predicted=(ScoredSpan(0, 3, "A", 1.0),),
        truncated=20,
    )  # fmt: skip
    found = score([row], kind="token_classification", replicates=50)
    assert found.metrics["span_recall"].value == 0.5
    assert found.fates is not None and found.fates["missed"] == 1
    assert found.as_record()["truncated_rows"] == 1


def test_without_replicates_intervals_collapse() -> None:
    found = score(span_rows(50), kind="token_classification", replicates=0)
    assert all(metric.low == metric.value == metric.high for metric in found.metrics.values())


def test_the_main_metric_can_be_named() -> None:
    assert score(label_rows(20), kind="text_classification", main="macro_f1", replicates=10).main == "macro_f1"


@pytest.mark.parametrize("make, kind", [(text_rows, "generation"), (answer_rows, "extractive_qa")])
def test_written_answers_have_no_labels_and_nothing_is_taken_for_anything(make: object, kind: str) -> None:
    assert callable(make)
    found = score(make(60), kind=kind, replicates=100)
    assert found.labels == () and found.confusion is None and "confusion" not in found.as_record()
    assert all(metric.low <= metric.value <= metric.high for metric in found.metrics.values())
    assert found.headline.low < found.headline.high


def test_the_doubt_of_perfect_answers_is_that_of_the_rows_behind_them() -> None:
    gold, text = (Span(0, 3, "answer"),), "Ann lives here"
    asked = [
        Prediction(id=str(i), text=text, gold=gold, predicted=(ScoredSpan(0, 3, "answer", 1.0),)) for i in range(20)
    ]
    unanswerable = [Prediction(id=f"n{i}", text=text, gold=(), predicted=()) for i in range(5)]
    found = score([*asked, *unanswerable], kind="extractive_qa").metrics
    assert found["f1"].low == pytest.approx(0.025 ** (1 / 25))
    assert found["no_answer_accuracy"].low == pytest.approx(0.025 ** (1 / 5))
    one_word = [Prediction(id=str(i), text="t", gold="yes", predicted="yes") for i in range(20)]
    words = score(one_word, kind="generation").metrics["mean_words"]
    assert words.low == words.value == words.high == 1, "a mean of words is no share of rows"


@pytest.mark.parametrize("main", ["exact_match", "token_f1", "bleu", "chrf"])
def test_another_metric_of_written_answers_can_lead(main: str) -> None:
    found = score(text_rows(20), kind="generation", main=main, replicates=10)
    assert found.main == main == next(iter(found.metrics)), "what leads stands first"


def test_confusion_of_entities_names_missed_and_invented_ones() -> None:
    row = Prediction(
        id="1", text="x" * 60, gold=(Span(0, 3, "A"), Span(10, 13, "A"), Span(20, 23, "B")),
        predicted=(ScoredSpan(0, 3, "B", 1.0), ScoredSpan(20, 24, "B", 1.0), ScoredSpan(50, 52, "A", 1.0)),
    )  # fmt: skip
    found = score([row], kind="token_classification", replicates=10)
    assert found.confusion == {("A", "B"): 1, ("A", ""): 1, ("B", "B"): 1, ("", "A"): 1}
    assert found.fates == {"correct": 0, "label": 1, "boundary": 1, "both": 0, "missed": 1, "spurious": 1}


def test_what_cannot_be_judged_is_refused_by_line() -> None:
    unlabelled = Prediction(id="7", text="t", predicted="a", source=Source("x.csv", 9))
    with pytest.raises(DataError, match=r"x.csv:9.*no gold.*TS-JUDGE-001"):
        score([unlabelled], kind="text_classification")
    with pytest.raises(DataError, match="TS-JUDGE-004"):
        score([], kind="text_classification")
    with pytest.raises(UsageError, match="TS-JUDGE-003"):
        score(label_rows(1), kind="text_clasification")
    mixed = [*label_rows(2), *set_rows(1)]
    with pytest.raises(DataError, match="TS-JUDGE-002"):
        score(mixed, kind="text_classification")
    with pytest.raises(DataError, match="TS-JUDGE-002"):
        score(label_rows(1), kind="token_classification")
