"""R-Drop against a second implementation; without dropout it is exactly nothing."""

from collections.abc import Callable
from typing import Any

import torch
from torch.testing import assert_close

from tunesmith.core.model import Model
from tunesmith.core.regularizer import Step
from tunesmith.core.rooms import TASKS
from tunesmith.tune.regularizers.r_drop import RDrop

TASK = {"kind": "text_classification", "labels": ["a", "b", "c"], "multi_label": False}


def test_it_is_the_symmetric_divergence_of_two_passes(
    tiny_model: Callable[..., Model], random_batch: Callable[..., Any]
) -> None:
    task = TASKS.make(TASK, key="task")
    model, batch = tiny_model(task, dropout=0.3).train(), random_batch((5, 9, 4))
    torch.manual_seed(1)
    output = model(batch)
    assert output.logits.requires_grad  # the head draws its dropout when it is asked, as the loss asks it first
    state = torch.get_rng_state()
    found = RDrop().term(Step(model, task, batch, output))
    torch.set_rng_state(state)
    p, q = (torch.softmax(logits, -1) for logits in (output.logits, model(batch).logits))
    by_hand = ((p - q) * (p.log() - q.log())).sum() / 2
    assert found > 0
    assert_close(found, by_hand, rtol=1e-3, atol=1e-7)


def test_without_dropout_it_is_nothing(tiny_model: Callable[..., Model], random_batch: Callable[..., Any]) -> None:
    task = TASKS.make(TASK, key="task")
    model, batch = tiny_model(task, dropout=0.0).train(), random_batch((5, 9, 4))
    assert RDrop().term(Step(model, task, batch, model(batch))).item() == 0.0
