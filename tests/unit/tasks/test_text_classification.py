"""Text classification: what is read from the rows, windows of long texts, losses against torch, refusals."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from tunesmith.core.batch import Batch, collate
from tunesmith.core.errors import ConfigError, DataError
from tunesmith.core.example import Example, Gold, Source, Span
from tunesmith.core.model import Model, Output
from tunesmith.core.rooms import TASKS
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.tasks.text_classification import TextClassification


def rows(*golds: Gold | None, text: str = "please help") -> list[Example]:
    return [Example(id=str(n), text=text, gold=g, source=Source("data.csv", n + 1)) for n, g in enumerate(golds)]


def batch_of(targets: torch.Tensor, weight: list[float] | None = None) -> Batch:
    count = len(targets)
    return Batch(
        input_ids=torch.zeros(count, dtype=torch.long),
        segment_ids=None,
        positions=torch.zeros(count, dtype=torch.long),
        lengths=(1,) * count,
        places=torch.arange(count),
        targets=targets,
        weight=torch.tensor(weight or [1.0] * count),
        ids=("",) * count,
        place_counts=(1,) * count,
    )


def loss(task: TextClassification, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    return task.loss(Output(logits, torch.nn.Identity()), batch, head=torch.nn.Identity())


def test_labels_are_read_from_the_rows_in_an_order_of_their_own() -> None:
    task = TextClassification().bound(rows("b", "a", None, "b"))
    assert (task.label_names, task.multi_label, task.main_metric) == (("a", "b"), False, "accuracy")
    assert TextClassification(labels=["b", "a", "z"]).bound(rows("a", "b")).label_names == ("b", "a", "z")


def test_tuples_of_labels_mean_several_labels() -> None:
    task = TextClassification().bound(rows(("b", "a"), (), ("c",)))
    assert (task.label_names, task.multi_label, task.main_metric) == (("a", "b", "c"), True, "micro_f1")
    assert TextClassification(multi_label=True).bound(rows("a", "b")).multi_label is True
    assert TextClassification(multi_label=False).bound(rows(("a",), ("b",))).multi_label is False


@pytest.mark.parametrize(
    "golds, code, line",
    [
        (("a", 0.5), "TS-TASK-020", 2),
        (("a", (Span(0, 1, "X"),)), "TS-TASK-020", 2),
        ((None, None), "TS-TASK-024", None),
        (("a", "a"), "TS-TASK-023", None),
        (((), ()), "TS-TASK-023", None),
    ],
)
def test_gold_that_does_not_fit_is_refused_at_its_line(golds: tuple[Gold, ...], code: str, line: int | None) -> None:
    with pytest.raises(DataError) as caught:
        TextClassification().bound(rows(*golds))
    assert caught.value.code == code
    assert line is None or (caught.value.place is not None and caught.value.place.line == line)
    assert caught.value.fix


def test_a_label_outside_the_list_is_refused_at_its_line(tiny_tokenizer: Tokenizer) -> None:
    task = TextClassification(labels=["a", "b"])
    with pytest.raises(DataError, match="'c' is not one"):
        task.bound(rows("a", "c"))
    with pytest.raises(DataError, match=r"data\.csv:2"):
        task.bound(rows("a", "b")).encode(rows("a", "c"), tiny_tokenizer)


def test_two_labels_where_one_is_meant_are_refused() -> None:
    with pytest.raises(DataError, match="2 labels where exactly one"):
        TextClassification(multi_label=False).bound(rows(("a", "b"), "c"))


def test_a_second_text_is_not_ignored_unseen() -> None:
    paired = Example(id="1", text="a", pair="b", gold="x", source=Source("data.csv", 7))
    with pytest.raises(DataError, match="pair_matching") as caught:
        TextClassification().bound([paired])
    assert str(caught.value.place) == "data.csv:7"


@pytest.mark.parametrize(
    "fields",
    [
        {"labels": ["a", "b"], "thresholds": [0.5]},
        {"labels": ["a"], "thresholds": [1.0]},
        {"labels": ["a", "b"], "label_priors": [0.5]},
        {"labels": ["a"], "label_priors": [0.0]},
        {"focal_gamma": -1.0},
    ],
)
def test_options_that_contradict_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        TASKS.make({"kind": "text_classification", **fields}, key="task")


@pytest.mark.parametrize("fields", [{"labels": ["a", "a"]}, {"class_weights": [1.0]}, {"class_weights": [1.0, 0.0]}])
def test_lists_that_do_not_fit_the_labels_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        TASKS.make({"kind": "text_classification", **fields}, key="task").bound(rows("a", "a", "b"))


def test_a_long_text_is_read_in_windows_that_share_the_stride(tiny_tokenizer: Tokenizer) -> None:
    task = TextClassification(labels=["a", "b"], multi_label=False, stride=10)
    text = " ".join(["card", "help", "lost", "bad"] * 40)
    (ids,) = tiny_tokenizer.texts([text])
    windows = task.encode(rows("b", text=text), tiny_tokenizer)
    room = tiny_tokenizer.room
    assert [len(window) for window in windows[:-1]] == [room + 2] * (len(windows) - 1)
    assert windows[0].input_ids[1:-1].tolist() == ids[:room]
    assert windows[1].input_ids[1:-1].tolist() == ids[room - 10 : 2 * room - 10]
    assert windows[-1].input_ids[-2] == ids[-1]
    assert all(window.targets is not None and window.targets.tolist() == [1] for window in windows)
    assert sum(window.weight for window in windows) == pytest.approx(1.0)
    short = TextClassification(labels=["a", "b"], multi_label=False, max_length=12)
    assert max(len(window) for window in short.encode(rows("b", text=text), tiny_tokenizer)) == 12


@pytest.mark.parametrize("text", ["", "   ", "\u200b"])
def test_a_text_without_a_token_has_a_window(text: str, tiny_tokenizer: Tokenizer) -> None:
    (window,) = TextClassification(labels=["a", "b"], multi_label=False).encode(rows("a", text=text), tiny_tokenizer)
    assert len(window) >= 2


def test_windows_answer_with_their_mean(tiny_tokenizer: Tokenizer, tiny_model: Callable[..., Model]) -> None:
    task = TextClassification(labels=["a", "b"], multi_label=False)
    examples = rows("a", "b", text=" ".join(["card"] * 80))
    encodings = task.encode(examples, tiny_tokenizer)
    assert [encoding.example for encoding in encodings] == [0, 0, 1, 1]
    logits = [torch.tensor([row]) for row in ([3.0, 0.0], [0.0, 1.0], [0.0, 2.0], [1.0, 0.0])]
    first, second = task.decode(examples, encodings, logits, head=tiny_model(task).head)
    assert (first.predicted, second.predicted) == ("a", "b")
    by_hand = torch.softmax(torch.tensor([1.5, 0.5]), -1)
    assert_close(torch.tensor([first.scores["a"], first.scores["b"]]), by_hand)
    assert first.confidence == first.scores["a"]


@pytest.mark.parametrize("family", ["bert", "roberta", "electra", "distilbert", "unknown"])
def test_the_head_for_several_labels_begins_at_their_shares(family: str, tiny_model: Callable[..., Model]) -> None:
    golds = [("a", "b"), ("a",), ("a",), ()] * 25
    task = TextClassification().bound(rows(*golds))
    assert task.label_priors == pytest.approx([75.5 / 101, 25.5 / 101])
    backbone = tiny_model(task).backbone
    backbone.config["model_type"] = family
    head = task.head(backbone).eval()
    with torch.no_grad():
        shares = torch.sigmoid(head(torch.zeros(1, backbone.width)))
    assert_close(shares, torch.tensor([task.label_priors]), atol=0.03, rtol=0)


def test_the_head_begins_at_the_shares_as_the_loss_weighs_them(tiny_model: Callable[..., Model]) -> None:
    task = TextClassification(class_weights="balanced").bound(rows(*[("a", "b"), ("a",), ("a",), ()] * 25))
    assert_close(tiny_model(task).head.classifier.bias.detach(), torch.zeros(2), atol=0.03, rtol=0)
    single = TextClassification().bound(rows("a", "a", "b"))
    assert single.label_priors is None and not tiny_model(single).head.classifier.bias.any()


def test_thresholds_decide_what_is_given(tiny_tokenizer: Tokenizer) -> None:
    task = TextClassification(labels=["a", "b", "c"], multi_label=True, thresholds=[0.2, 0.5, 0.9])
    examples = rows("a", None)
    encodings = task.encode(rows(("a",), ()), tiny_tokenizer)
    logits = [torch.logit(torch.tensor([[0.3, 0.4, 0.95]])), torch.logit(torch.tensor([[0.1, 0.4, 0.8]]))]
    first, second = task.decode(examples, encodings, logits, head=torch.nn.Identity())
    assert (first.predicted, first.gold, second.predicted) == (("a", "c"), ("a",), ())
    assert first.confidence == pytest.approx(0.3)


def test_the_losses_are_those_of_torch() -> None:
    logits, targets = torch.randn(5, 3), torch.tensor([0, 2, 1, 1, 0])
    weight = [1.0, 0.5, 2.0, 1.0, 0.0]
    task = TextClassification(labels=["a", "b", "c"], multi_label=False)
    plain = F.cross_entropy(logits, targets, reduction="none")
    assert_close(loss(task, logits, batch_of(targets, weight)), (plain * torch.tensor(weight)).sum())
    focal = task.model_copy(update={"focal_gamma": 2.0})
    by_hand = ((1 - torch.softmax(logits, -1).gather(1, targets[:, None])[:, 0]) ** 2 * plain).sum()
    assert_close(loss(focal, logits, batch_of(targets)), by_hand)
    sets = torch.tensor([[1.0, 0, 0], [0, 1, 1], [0, 0, 0], [1, 1, 1], [0, 0, 1]])
    several = task.model_copy(update={"multi_label": True})
    binary = F.binary_cross_entropy_with_logits(logits, sets, reduction="none").mean(-1).sum()
    assert_close(loss(several, logits, batch_of(sets)), binary)
    weighted = several.model_copy(update={"class_weights": [2.0, 1.0, 0.5]})
    pos_weight = torch.tensor([2.0, 1.0, 0.5])
    by_torch = F.binary_cross_entropy_with_logits(logits, sets, reduction="none", pos_weight=pos_weight).mean(-1).sum()
    assert_close(loss(weighted, logits, batch_of(sets)), by_torch)


def test_a_loss_in_bf16_is_summed_in_fp32() -> None:
    task = TextClassification(labels=["a", "b"], multi_label=False)
    assert loss(task, torch.randn(3, 2).bfloat16(), batch_of(torch.tensor([0, 1, 0]))).dtype == torch.float32


def test_balanced_weights_make_classes_count_alike() -> None:
    golds = ["a"] * 6 + ["b"] * 2 + ["c"]
    task = TextClassification(class_weights="balanced").bound(rows(*golds))
    assert task.class_weights == pytest.approx([0.5, 1.5, 3.0])
    several = TextClassification(class_weights="balanced").bound(rows(("a", "b"), ("a",), (), ("a",)))
    assert several.class_weights == pytest.approx([1 / 3, 3.0])


def test_the_divergence_of_label_sets_is_that_of_their_bernoullis() -> None:
    task = TextClassification(labels=["a", "b"], multi_label=True)
    p, q = torch.tensor([[0.2, 0.7]]), torch.tensor([[0.5, 0.6]])
    by_hand = (p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()).mean(-1)
    assert_close(task.divergence(torch.logit(p), torch.logit(q)), by_hand)


def test_many_texts_are_encoded_in_batches_that_fit_together(tiny_tokenizer: Tokenizer) -> None:
    examples = [
        Example(id=str(n), text=f"card {n % 7}", source=Source("x", n + 1), gold="ab"[n % 2]) for n in range(9000)
    ]
    encodings = TextClassification(labels=["a", "b"], multi_label=False).encode(examples, tiny_tokenizer)
    assert [encoding.example for encoding in encodings] == list(range(9000))
    batch = collate(encodings, [e.id for e in examples])
    assert batch.targets is not None
    assert np.array_equal(batch.targets.numpy(), np.arange(9000) % 2)
