"""Labels that are paths: the tree, probabilities and expected F1 against brute force, where answers stop, refusals."""

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from tunesmith.core.errors import ConfigError, DataError
from tunesmith.core.example import Example, Gold, Node, Source, Span
from tunesmith.core.model import Model
from tunesmith.core.prediction import Prediction, ScoredNode
from tunesmith.core.rooms import TASKS
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.tasks._label_tree import tree_of
from tunesmith.tasks._tree_probabilities import best_nodes, node_probabilities, path_excess, path_losses
from tunesmith.tasks.hierarchical_classification import HierarchicalClassification

LABELS = ("billing", "billing/refund/late", "billing/refund/partial", "billing/invoice", "thanks")
"""Rows end at `billing`, which has others below it, and at the top"""


def rows(*golds: Gold | None, text: str = "please help") -> list[Example]:
    return [Example(id=str(n), text=text, gold=g, source=Source("data.csv", n + 1)) for n, g in enumerate(golds)]


def grown(draw: random.Random) -> tuple[str, ...]:
    """The labels of a random tree, some of which end above others."""
    found = {"/".join(draw.choice("abc") for _ in range(draw.randint(1, 4))) for _ in range(draw.randint(3, 12))}
    return tuple(sorted(found | {"a/b", "c"}))


def nodes_of(label: str) -> list[str]:
    steps = label.split("/")
    return ["/".join(steps[: depth + 1]) for depth in range(len(steps))]


def below(label: str, node: str) -> bool:
    return f"{label}/".startswith(f"{node}/")


def answers(task: HierarchicalClassification, shares: Sequence[Sequence[float]], tokenizer: Tokenizer, model: Model):  # type: ignore[no-untyped-def]
    examples = rows(*[task.label_names[0]] * len(shares))
    logits = [torch.tensor([row], dtype=torch.float64).log() for row in shares]
    return task.decode(examples, task.encode(examples, tokenizer), logits, head=model.head)


def test_the_tree_of_labels() -> None:
    tree = tree_of(LABELS, "/")
    assert tree.nodes == (
        *("billing", "thanks", "billing/invoice", "billing/refund"),
        *("billing/refund/late", "billing/refund/partial"),
    )
    named = [[tree.nodes[node] for node in way] for way in tree.above]
    assert named == [["billing"], ["billing", "billing/refund"], ["billing", "billing/refund"], ["billing"], []]
    assert [tree.nodes[node] for node in tree.lineage(4)] == nodes_of("billing/refund/late")
    assert tree_of(tuple(label.replace("/", "::") for label in LABELS), "::").depths == tree.depths


def test_labels_are_read_from_the_rows() -> None:
    task = HierarchicalClassification().bound(rows("b/y", "a", None, "b/x", "a"))
    assert (task.label_names, task.main_metric, task.rows) == (
        ("a", "b/x", "b/y"),
        "hierarchical_f1",
        "text_classification",
    )
    weighted = HierarchicalClassification(class_weights="balanced").bound(rows("a/x", "a/x", "a/x", "a/y"))
    assert weighted.class_weights == pytest.approx([2 / 3, 2.0])


@pytest.mark.parametrize("upper_levels", [0.0, 1.0, 2.5])
def test_the_loss_is_the_weighted_mean_over_the_levels(upper_levels: float) -> None:
    for seed in range(5):
        draw = random.Random(seed)
        labels = grown(draw)
        tree = tree_of(labels, "/")
        logits = torch.randn(6, len(labels), generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 3
        targets = torch.tensor([draw.randrange(len(labels)) for _ in range(6)])
        shares = logits.softmax(-1)
        every = torch.zeros_like(logits)
        for row, own in itertools.product(range(6), range(len(labels))):
            label = labels[own]
            ends_above = any(other != label and below(other, label) for other in labels)
            above = nodes_of(label) if ends_above else nodes_of(label)[:-1]
            sums = [sum(float(shares[row, c]) for c, name in enumerate(labels) if below(name, node)) for node in above]
            told = -shares[row, own].log() - upper_levels * sum(torch.tensor(sums).double().log())
            every[row, own] = told / (1 + upper_levels * len(above))
        found = path_losses(logits, targets, tree, upper_levels=upper_levels)
        by_hand = every.gather(-1, targets[:, None]).squeeze(-1)
        assert_close(found, by_hand, rtol=1e-6, atol=1e-6)
        excess = path_excess(logits, targets, tree, upper_levels=upper_levels)
        assert_close(excess, every.mean(-1) - by_hand, rtol=1e-6, atol=1e-6)
        if upper_levels == 0:
            assert_close(found, F.cross_entropy(logits, targets, reduction="none"))


def test_a_loss_of_certain_logits_and_its_gradient_are_finite() -> None:
    logits = torch.tensor([[400.0, -400.0, 0.0, 0.0, 0.0]], requires_grad=True)
    loss = path_losses(logits, torch.tensor([1]), tree_of(LABELS, "/"), upper_levels=1.0)
    loss.sum().backward()
    assert loss.dtype == torch.float32 and loss.item() == pytest.approx((800 + 400) / 3, rel=1e-5)
    assert logits.grad is not None and logits.grad.isfinite().all()


def test_a_text_of_the_wrong_branch_costs_more_than_one_of_the_right_branch() -> None:
    tree, late = tree_of(LABELS, "/"), torch.tensor([1, 1])
    shares = torch.tensor([[0.02, 0.04, 0.9, 0.02, 0.02], [0.02, 0.04, 0.02, 0.02, 0.9]])
    near, far = path_losses(shares.log(), late, tree, upper_levels=1.0).tolist()
    assert far > 2 * near
    near, far = path_losses(shares.log(), late, tree, upper_levels=0.0).tolist()
    assert far == pytest.approx(near)


def test_a_node_is_as_likely_as_all_that_stands_below_it() -> None:
    for seed in range(5):
        labels = grown(random.Random(seed))
        tree = tree_of(labels, "/")
        shares = torch.rand(4, len(labels), generator=torch.Generator().manual_seed(seed)).softmax(-1)
        found = node_probabilities(shares, tree)
        for row, (number, node) in itertools.product(range(4), enumerate(tree.nodes)):
            wanted = sum(float(shares[row, c]) for c, label in enumerate(labels) if below(label, node))
            assert float(found[row, number]) == pytest.approx(wanted)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.7])
def test_the_answer_has_the_highest_expected_f1_that_is_likely_enough(threshold: float) -> None:
    for seed in range(8):
        labels = grown(random.Random(seed))
        tree = tree_of(labels, "/")
        shares = (torch.randn(6, len(labels), generator=torch.Generator().manual_seed(seed)) * 2).double().softmax(-1)
        for row, found in zip(shares.tolist(), best_nodes(shares, tree, threshold=threshold), strict=True):
            expected = {}
            for node in tree.nodes:
                own = set(nodes_of(node))
                likely = sum(p for p, label in zip(row, labels, strict=True) if below(label, node))
                if likely < threshold and len(own) > 1:
                    continue
                f1 = [2 * len(own & set(nodes_of(gold))) / (len(own) + gold.count("/") + 1) for gold in labels]
                expected[node] = sum(p * f for p, f in zip(row, f1, strict=True))
            assert expected[tree.nodes[found]] == pytest.approx(max(expected.values()))


def test_an_answer_stops_above_a_choice_that_it_cannot_make(
    tiny_tokenizer: Tokenizer, tiny_model: Callable[..., Model]
) -> None:
    task = HierarchicalClassification(labels=["a/x", "a/y", "a/z", "a/w", "b"])
    sure, torn, between = [0.9, 0.04, 0.02, 0.02, 0.02], [0.26, 0.24, 0.23, 0.22, 0.05], [0.5, 0.4, 0.03, 0.02, 0.05]
    model = tiny_model(task)
    found = answers(task, [sure, torn, between], tiny_tokenizer, model)
    assert [[node.label for node in answer.predicted] for answer in found] == [["a", "a/x"], ["a"], ["a", "a/x"]]
    assert found[1].confidence == pytest.approx(0.95)
    assert found[1].scores["a"] == pytest.approx(0.95) and found[1].scores["a/y"] == pytest.approx(0.24)
    strict = task.model_copy(update={"threshold": 0.6})
    found = answers(strict, [sure, torn, between], tiny_tokenizer, model)
    assert [answer.predicted[-1].label for answer in found] == ["a/x", "a", "a"]
    (lost,) = answers(task.model_copy(update={"threshold": 0.99}), [[0.3, 0.3, 0.0, 0.0, 0.4]], tiny_tokenizer, model)
    assert lost.predicted == (ScoredNode("a", pytest.approx(0.6)),), "the first step is always given"


def test_an_answer_does_not_depend_on_its_company(tiny_tokenizer: Tokenizer, tiny_model: Callable[..., Model]) -> None:
    task = HierarchicalClassification(labels=list(LABELS))
    shares = torch.randn(300, len(LABELS), generator=torch.Generator().manual_seed(0)).softmax(-1).tolist()
    model = tiny_model(task)
    together = answers(task, shares, tiny_tokenizer, model)
    for index in (0, 131, 299):
        (alone,) = answers(task, [shares[index]], tiny_tokenizer, model)
        assert replace(together[index], id="0", source=alone.source) == alone


def test_gold_becomes_the_nodes_on_the_way_down_once() -> None:
    task = HierarchicalClassification(labels=list(LABELS))
    (bare, labelled) = rows(None, ("billing/refund/late",))
    asked = task.asked(labelled)
    assert asked.gold == tuple(map(Node, nodes_of("billing/refund/late")))
    assert task.asked(asked) == asked and task.asked(bare) is bare


def test_a_prediction_survives_its_record() -> None:
    said = Prediction(
        id="1",
        text="x",
        gold=(Node("a"), Node("a/b")),
        predicted=(ScoredNode("a", 0.8), ScoredNode("a/c", 0.5)),
        scores={"a": 0.8, "a/c": 0.5},
    )
    assert Prediction.from_record(said.as_record()) == said
    assert "a/c" in said._repr_html_()


@pytest.mark.parametrize(
    "golds, code, line, told",
    [
        (("a/b", "a//c"), "TS-TASK-080", 2, "step without a name"),
        (("a/b", "/c"), "TS-TASK-080", 2, "none at the ends"),
        (("a/b", "c/ "), "TS-TASK-080", 2, "step without a name"),
        (("a/b", "a/ b"), "TS-TASK-081", 2, r"'a/b' of data\.csv:1 but for blanks"),
        (("a / b", "c/d"), "TS-TASK-082", 1, 'task.separator = " / "'),
        (("a/b", ("a/b", "c")), "TS-TASK-022", 2, "2 labels"),
        (("a/b", (Span(0, 1, "X"),)), "TS-TASK-020", 2, "entities"),
        (("a/b", 0.5), "TS-TASK-020", 2, "a score"),
        (("a/b", "a/b"), "TS-TASK-023", None, "nothing to tell apart"),
        ((None, None), "TS-TASK-024", None, "no training row"),
    ],
)
def test_labels_that_are_no_paths_are_refused_at_their_line(
    golds: tuple[Gold, ...], code: str, line: int | None, told: str
) -> None:
    with pytest.raises(DataError, match=told) as caught:
        HierarchicalClassification().bound(rows(*golds))
    assert caught.value.code == code
    assert line is None or (caught.value.place is not None and caught.value.place.line == line)


def test_labels_of_dev_and_test_are_looked_at_too() -> None:
    task = HierarchicalClassification().bound(rows("a/x", "a/y"))
    with pytest.raises(DataError, match="TS-TASK-080"):
        task.bound(rows("a//x"))
    assert task.bound(rows("a/x")) == task


def test_labels_without_levels_are_sent_to_the_flat_task() -> None:
    with pytest.raises(ConfigError, match=r'no label holds .*task.kind = "text_classification"') as caught:
        HierarchicalClassification().bound(rows("a", "b"))
    assert (caught.value.code, str(caught.value.place)) == ("TS-TASK-083", "task.separator")
    with pytest.raises(ConfigError, match=r"task\.separator = ':', which they share"):
        HierarchicalClassification().bound(rows("a:x", "a:y", "b:x", "b:y"))


@pytest.mark.parametrize(
    "label, told",
    [
        ("billing/refund", "below 'billing/refund' it has late, partial"),
        ("billing/fees", "below 'billing' it has invoice, refund"),
        ("moon", "at the top it has billing, thanks"),
        ("thanks/much", "below 'thanks' it has nothing"),
    ],
)
def test_a_label_outside_the_tree_is_refused_with_what_there_is(
    label: str, told: str, tiny_tokenizer: Tokenizer
) -> None:
    task = HierarchicalClassification(labels=list(LABELS))
    with pytest.raises(DataError, match=told) as caught:
        task.encode(rows("thanks", label), tiny_tokenizer)
    assert (caught.value.code, str(caught.value.place)) == ("TS-TASK-084", "data.csv:2")


@pytest.mark.parametrize(
    "fields", [{"separator": ""}, {"threshold": 1.0}, {"upper_levels": -1.0}, {"multi_label": True}]
)
def test_options_without_meaning_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        TASKS.make({"kind": "hierarchical_classification", **fields}, key="task")
