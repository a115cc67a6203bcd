"""Paths down a tree of labels: metrics by hand and by brute force, baselines, errors and tests of two models."""

import random

import pytest

from tunesmith.core.errors import DataError
from tunesmith.core.example import Example, Gold, Node, Source
from tunesmith.core.prediction import Answer, Prediction, ScoredNode
from tunesmith.judge.baselines import baselines
from tunesmith.judge.errors_table import error_record, mistake_of
from tunesmith.judge.forms import right, taken_for
from tunesmith.judge.paired import paired_test
from tunesmith.judge.paired_labels import label_differences
from tunesmith.judge.scoring import score

KIND = "hierarchical_classification"


def way(label: str) -> list[str]:
    steps = label.split("/")
    return ["/".join(steps[: depth + 1]) for depth in range(len(steps))]


def row(gold: str, said: str, *, number: int = 1, sure: float = 0.9) -> Prediction:
    nodes = way(said)
    return Prediction(
        id=f"r{number}",
        text="t",
        gold=tuple(map(Node, way(gold))),
        predicted=tuple(ScoredNode(node, sure - 0.1 * depth) for depth, node in enumerate(nodes)),
        scores={node: sure - 0.1 * depth for depth, node in enumerate(nodes)},
        source=Source("x.jsonl", number),
    )


HAND = [
    row("a/x/1", "a/x/1", number=1),  # 3 of 3, 3 of 3
    row("a/x/1", "a/x", number=2),  # stopped: 2 of 2 answered, 2 of 3 gold
    row("a/x/1", "a/y", number=3),  # 1 of 2, 1 of 3
    row("b", "a/x/2", number=4),  # 0 of 3, 0 of 1
    row("b", "b/z", number=5),  # guessed below: 1 of 2, 1 of 1
]
ANSWERED, GOLD, SHARED = 3 + 2 + 2 + 3 + 2, 3 + 3 + 3 + 1 + 1, 3 + 2 + 1 + 0 + 1


def test_metrics_by_hand() -> None:
    found = score(HAND, kind=KIND, replicates=0)
    assert (found.form, found.main) == ("paths", "hierarchical_f1")
    assert {name: metric.value for name, metric in found.metrics.items()} == pytest.approx(
        {
            "hierarchical_f1": 2 * SHARED / (ANSWERED + GOLD),
            "hierarchical_precision": SHARED / ANSWERED,
            "hierarchical_recall": SHARED / GOLD,
            "path_accuracy": 1 / 5,
            "level_1_accuracy": 4 / 5,
            "level_2_accuracy": 2 / 3,
            "level_3_accuracy": 1 / 3,
        }
    )
    nodes = {one.label: (one.gold, one.predicted, one.f1.value) for one in found.labels}
    assert nodes["a"] == (3, 4, pytest.approx(6 / 7)) and nodes["a/x"] == (3, 3, pytest.approx(4 / 6))
    assert found.confusion is not None and found.confusion["a/x/1", "a/x"] == 1


def test_metrics_by_brute_force() -> None:
    draw = random.Random(0)
    made = [tuple("/".join(draw.choice("ab") for _ in range(draw.randint(1, 4))) for _ in range(2)) for _ in range(200)]
    found = score([row(gold, said, number=n) for n, (gold, said) in enumerate(made)], kind=KIND, replicates=200)
    shared = sum(len(set(way(gold)) & set(way(said))) for gold, said in made)
    precision = shared / sum(len(way(said)) for _, said in made)
    recall = shared / sum(len(way(gold)) for gold, _ in made)
    values = {name: metric.value for name, metric in found.metrics.items()}
    assert values["hierarchical_f1"] == pytest.approx(2 * precision * recall / (precision + recall))
    assert values["path_accuracy"] == pytest.approx(sum(gold == said for gold, said in made) / 200)
    third = [(way(gold)[2], way(said)[2:3]) for gold, said in made if len(way(gold)) > 2]
    assert values["level_3_accuracy"] == pytest.approx(sum([gold] == said for gold, said in third) / len(third))
    for metric in found.metrics.values():
        assert metric.low <= metric.value <= metric.high and metric.low < metric.high


def test_flat_labels_give_the_accuracy() -> None:
    rows = [row(gold, said, number=n) for n, (gold, said) in enumerate([("a", "a"), ("a", "b"), ("b", "b")])]
    found = score(rows, kind=KIND, replicates=0).metrics
    assert [metric.value for metric in found.values()] == [pytest.approx(2 / 3)] * len(found)


@pytest.mark.parametrize(
    "gold, said",
    [
        ("a/b", (ScoredNode("a", 0.5),)),
        ((Node("a"),), "a"),
        ((Node("a"),), ()),
        ((), (ScoredNode("a", 0.5),)),
        (("a", "a/b"), (ScoredNode("a", 0.5),)),
        (None, (ScoredNode("a", 0.5),)),
    ],
)
def test_rows_of_another_shape_are_refused_at_their_line(gold: Gold | None, said: Answer) -> None:
    prediction = Prediction(id="7", text="t", gold=gold, predicted=said, source=Source("x.jsonl", 9))
    with pytest.raises(DataError, match=r"x\.jsonl:9"):
        score([prediction], kind=KIND, replicates=0)


def test_an_answer_is_right_where_it_ends_where_the_gold_ends() -> None:
    assert [right(one, KIND) for one in HAND] == [True, False, False, False, False]
    assert taken_for(HAND[1], "paths") == [("a/x/1", "a/x")]


def test_a_wrong_step_is_as_bad_as_it_was_likely_and_stopping_is_no_error_of_confidence() -> None:
    found = [mistake_of(one) for one in HAND]
    assert [None if one is None else round(one.severity, 6) for one in found] == [None, 0.0, 0.8, 0.9, 0.8]
    assert found[2] is not None and found[2].labels == ("a/x/1", "a/y")
    record = error_record(found[2])
    assert (record["gold"], record["predicted"]) == (["a/x/1"], ["a/y"])
    assert record["scores"][0] == {"label": "a", "score": 0.9}


def test_two_models_on_the_same_rows() -> None:
    draw = random.Random(2)
    golds = [draw.choice(["a/x", "a/y", "b/x", "b/y"]) for _ in range(150)]
    good = [row(g, g if draw.random() < 0.8 else "a", number=n) for n, g in enumerate(golds)]
    bad = [row(g, draw.choice(["a/x", "b/y"]), number=n) for n, g in enumerate(golds)]
    test = paired_test(good, bad, kind=KIND, metric="hierarchical_f1", replicates=200)
    assert test.difference > 0.2 and test.low > 0 and test.p_value < 0.05
    same = paired_test(good, good, kind=KIND, metric="path_accuracy", replicates=100)
    assert (same.difference, same.p_value) == (0.0, 1.0)
    assert {one.label for one in label_differences(zip(good, bad, strict=True), kind=KIND)} >= {"a", "b", "a/x", "b/y"}


def example(text: str, label: str, number: int) -> Example:
    return Example(id=f"e{number}", text=text, gold=tuple(map(Node, way(label))), source=Source("t", number))


def test_baselines_answer_whole_paths() -> None:
    texts = {"billing/refund": "my money back please", "billing/invoice": "send the bill again", "late": "where is it"}
    rows = [example(f"{text} {n}", label, n) for n in range(12) for label, text in texts.items()]
    rows += [example(f"money back {n}", "billing/refund", n) for n in range(3)]
    found = baselines(KIND, rows, rows)
    assert list(found) == ["majority", "tfidf_logistic"]
    (common,) = {one.predicted for one in found["majority"]}
    assert common == (
        ScoredNode("billing", pytest.approx(27 / 39)),
        ScoredNode("billing/refund", pytest.approx(15 / 39)),
    )
    assert score(found["tfidf_logistic"], kind=KIND, replicates=0).metrics["path_accuracy"].value == 1
    scores = found["tfidf_logistic"][0].scores
    assert scores["billing"] == pytest.approx(scores["billing/refund"] + scores["billing/invoice"])
    alone = [example("x", "a/b", 1), example("y", "a/b", 2)]
    assert list(baselines(KIND, alone, alone)) == ["majority"]
