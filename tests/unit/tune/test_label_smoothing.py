"""Loss plus weighted term is the smoothed cross-entropy of torch, for one label and for several; a score is refused."""

from collections.abc import Callable

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from tunesmith.core.batch import collate
from tunesmith.core.errors import ConfigError
from tunesmith.core.example import Example, Source
from tunesmith.core.model import Model
from tunesmith.core.regularizer import Step
from tunesmith.core.rooms import REGULARIZERS, TASKS
from tunesmith.core.task import Task
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.tasks._losses import class_excess, label_set_excess
from tunesmith.tune.regularizers.label_smoothing import LabelSmoothing


def test_with_the_loss_it_is_the_smoothed_cross_entropy_of_torch() -> None:
    logits, targets = torch.randn(6, 4), torch.tensor([0, 3, 1, 2, 2, 0])
    plain = F.cross_entropy(logits, targets, reduction="none")
    smoothed = F.cross_entropy(logits, targets, reduction="none", label_smoothing=0.2)
    assert_close(plain + 0.2 * class_excess(logits, targets), smoothed)


def test_with_the_loss_it_is_the_cross_entropy_of_softened_label_sets() -> None:
    logits, targets = torch.randn(6, 4), torch.randint(0, 2, (6, 4)).float()
    plain = F.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(-1)
    softened = F.binary_cross_entropy_with_logits(logits, targets * 0.8 + 0.1, reduction="none").mean(-1)
    assert_close(plain + 0.2 * label_set_excess(logits, targets), softened)


def test_a_place_counts_by_its_weight(tiny_tokenizer: Tokenizer, tiny_model: Callable[..., Model]) -> None:
    task = TASKS.make({"kind": "text_classification", "labels": ["a", "b"], "multi_label": False}, key="task")
    model = tiny_model(task).eval()

    def term(weight: float) -> torch.Tensor:
        row = Example(id="1", text="my card", gold="a", weight=weight, source=Source("x", 1))
        batch = collate(task.encode([row], tiny_tokenizer), ["1"])
        return LabelSmoothing().term(Step(model, task, batch, model(batch)))

    assert_close(term(3.0), 3 * term(1.0))


def test_a_score_has_no_classes(tiny_tokenizer: Tokenizer, tiny_model: Callable[..., Model]) -> None:
    for table in ({"kind": "pair_matching", "score_range": [0.0, 5.0]}, {"kind": "retrieval"}):
        task = TASKS.make(table, key="task")
        _refused(task, tiny_tokenizer, tiny_model(task))


def _refused(task: Task, tokenizer: Tokenizer, model: Model) -> None:
    row = Example(id="1", text="my card", pair="a card", gold=2.0, source=Source("x", 1))
    windows = task.encode([row], tokenizer)
    batch = collate(windows, ["1"] * len(windows))
    with pytest.raises(ConfigError, match="no classes"):
        LabelSmoothing().term(Step(model, task, batch, model(batch)))


@pytest.mark.parametrize("weight", [-0.1, 1.0])
def test_a_share_outside_its_range_is_refused(weight: float) -> None:
    with pytest.raises(ConfigError):
        REGULARIZERS.make({"kind": "label_smoothing", "weight": weight}, key="regularizers.0")
