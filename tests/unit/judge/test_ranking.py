"""Ranking metrics against scikit-learn and by hand; BM25 against its formula written out; baselines that rank."""

import math
import random
from collections.abc import Sequence

import numpy as np
import pytest
from sklearn.metrics import ndcg_score

from tunesmith.core.errors import DataError
from tunesmith.core.example import Document, Example, Relevant, Source
from tunesmith.core.prediction import Prediction, Ranked
from tunesmith.judge.baselines import baselines
from tunesmith.judge.bm25 import BM25, words_of
from tunesmith.judge.errors_table import error_record, mistake_of
from tunesmith.judge.metrics import ranking
from tunesmith.judge.metrics.counts import Counts
from tunesmith.judge.paired import paired_test
from tunesmith.judge.ranked_sample import ranked_sample
from tunesmith.judge.scoring import score

DOCUMENTS = [Document(f"d{n}", f"document {n}") for n in range(30)]


def answered(draw: random.Random, number: int, found: int = 10) -> Prediction:
    wanted = draw.sample(DOCUMENTS, draw.randint(1, 14))
    said = draw.sample(DOCUMENTS, found)
    return Prediction(
        id=f"q{number}",
        text=f"question {number}",
        gold=tuple(Relevant(d.id, d.text, draw.choice((1.0, 2.0, 0.5))) for d in wanted),
        predicted=tuple(Ranked(d.id, d.text, 1 - rank / 30) for rank, d in enumerate(said)),
        source=Source("test.jsonl", number),
    )


@pytest.fixture
def predictions() -> list[Prediction]:
    draw = random.Random(3)
    return [answered(draw, number) for number in range(80)]


def ids(items: object) -> list[str]:
    assert isinstance(items, tuple)
    return [item.id for item in items]


def test_gain_is_that_of_scikit_learn(predictions: Sequence[Prediction]) -> None:
    for prediction in predictions:
        grades = {item.id: item.grade for item in prediction.gold}  # type: ignore[union-attr]
        found = ids(prediction.predicted)
        truth = np.array([[grades.get(document.id, 0.0) for document in DOCUMENTS]])
        shown = np.array([[float(-found.index(d.id)) if d.id in found else -100.0 for d in DOCUMENTS]])
        one = Counts.of([ranking.row(grades, found)])
        assert float(ranking.metrics(one)["ndcg_at_10"]) == pytest.approx(ndcg_score(truth, shown, k=10), abs=1e-9)


def test_recall_and_reciprocal_rank_by_hand() -> None:
    row = ranking.row({"a": 1.0, "b": 1.0, "z": 1.0}, ["x", "a", "y", "v", "w", "b"])
    assert row["mrr_at_10", ""] == 0.5
    assert ("recall_at_1", "") not in row
    assert row["recall_at_5", ""] == pytest.approx(1 / 3) and row["recall_at_10", ""] == pytest.approx(2 / 3)
    beyond = ranking.row({"a": 1.0}, [*(f"x{n}" for n in range(10)), "a"])
    assert set(beyond) == {("rows", "")}
    assert ranking.row({"a": 1.0}, []) == {("rows", ""): 1.0}


def test_a_split_is_the_mean_over_questions_with_intervals(predictions: list[Prediction]) -> None:
    scores = score(predictions, kind="retrieval", replicates=200)
    rows = [ranking.metrics(Counts.of([ranking.row({i.id: i.grade for i in p.gold}, ids(p.predicted))])) for p in predictions]  # type: ignore[union-attr]  # fmt: skip  # noqa: E501
    for name, metric in scores.metrics.items():
        assert metric.value == pytest.approx(np.mean([row[name] for row in rows]))
        assert metric.low < metric.value < metric.high
    assert (scores.form, scores.main, scores.rows, scores.confusion) == ("ranking", "ndcg_at_10", 80, None)
    assert [Prediction.from_record(p.as_record()) for p in predictions] == predictions
    better = [Prediction.from_record(p.as_record() | {"predicted": _best(p)}) for p in predictions]
    test = paired_test(better, predictions, kind="retrieval", metric="ndcg_at_10", replicates=200)
    assert test.first == pytest.approx(1.0) and test.low > 0 and test.p_value < 0.01


def _best(prediction: Prediction) -> list[dict[str, object]]:
    wanted = sorted(prediction.gold, key=lambda item: -item.grade)  # type: ignore[union-attr, arg-type, type-var]
    return [{"id": item.id, "text": item.text, "score": 0.5} for item in wanted[:10]]  # type: ignore[union-attr]


def test_rows_of_another_kind_are_refused(predictions: list[Prediction]) -> None:
    with pytest.raises(DataError, match="documents on both sides"):
        score([Prediction(id="1", text="a", gold=predictions[0].gold, predicted="x")], kind="retrieval")
    with pytest.raises(DataError, match="does not hold"):
        score([Prediction(id="1", text="a", gold="x", predicted="x")], kind="retrieval")


def test_bm25_is_its_formula() -> None:
    texts = ["the card is lost the card", "a transfer", "lost and found and lost", "", "the the the"]
    index = BM25(texts)
    split = [text.split() for text in texts]
    mean = sum(map(len, split)) / len(split)
    for question in ("lost card", "the lost lost", "unknown", "LOST, card!"):
        for number, words in enumerate(split):
            expected = 0.0
            for word in words_of(question):
                held = sum(word in other for other in split)
                often = words.count(word)
                idf = math.log(1 + (len(split) - held + 0.5) / (held + 0.5))
                expected += idf * often * 2.2 / (often + 1.2 * (0.25 + 0.75 * len(words) / mean)) if held else 0.0
            assert index.scores(question)[number] == pytest.approx(expected)
    assert BM25([]).scores("a").shape == (0,)


def test_chinese_is_read_by_characters_and_their_pairs() -> None:
    assert words_of("如何退款? VISA卡") == ["如", "何", "退", "款", "如何", "何退", "退款", "visa", "卡"]
    scores = BM25(["怎样申请退款", "怎样更改密码"]).scores("我要退款")
    assert scores[0] > 0 == scores[1]


def test_baselines_rank_by_words_popularity_and_chance() -> None:
    documents = [Document("d1", "block a card"), Document("d2", "send money"), Document("d3", "change a password")]

    def asked(number: int, text: str, *wanted: Document) -> Example:
        gold = tuple(Relevant(document.id, document.text) for document in wanted)
        return Example(id=f"q{number}", text=text, gold=gold, source=Source("rows", number))

    train = [asked(1, "how to pay", documents[1]), asked(2, "pay a friend", documents[1])]
    test = [asked(3, "my card is lost", documents[0]), asked(4, "forgot the password", documents[2])]
    found = baselines("retrieval", train, test, documents=documents)
    assert list(found) == ["random", "popular", "bm25"]
    assert [ids(one.predicted)[0] for one in found["bm25"]] == ["d1", "d3"]
    assert [ids(one.predicted) for one in found["popular"]] == [["d2", "d1", "d3"]] * 2
    assert found == baselines("retrieval", train, test, documents=documents)
    assert all(sorted(ids(one.predicted)) == ["d1", "d2", "d3"] for one in found["random"])


def test_what_a_report_shows_of_questions(predictions: list[Prediction]) -> None:
    sample = ranked_sample(predictions)
    assert len(sample) == 10 and sample == ranked_sample(reversed(predictions))
    for shown in sample:
        assert len(shown["found"]) == 3
        first = next((rank for rank, item in enumerate(shown["found"], 1) if item["right"]), None)
        assert (shown["missed"] is None) == (first is not None)
        assert first is None or first == shown["rank"]
    wrong = next(mistake for mistake in map(mistake_of, predictions) if mistake)
    record = error_record(wrong)
    assert len(record["predicted"]) == 3 and record["predicted"][0].startswith("document ")
    best = Prediction.from_record(predictions[0].as_record() | {"predicted": _best(predictions[0])})
    assert mistake_of(best) is None
