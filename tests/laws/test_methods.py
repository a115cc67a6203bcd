"""What every method promises: the same function at the start, only what it names moves, nothing is lost on disk."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from tunesmith.core.method import Method
from tunesmith.core.model import Model
from tunesmith.core.rooms import METHODS, TASKS
from tunesmith.core.task import Task
from tunesmith.models.hub_names import hub_state, load_hub_state
from tunesmith.models.surgery import apply_method, merge

TASK = {"kind": "text_classification", "labels": ["a", "b", "c"], "multi_label": False}
COUNTS: dict[str, Callable[[int, int], int]] = {
    "full": lambda backbone, head: backbone + head,
    "head_only": lambda backbone, head: head,
    "lora": lambda backbone, head: head + 2 * 2 * 8 * (16 + 16),
}
"""Trained parameters of the tiny model (2 layers, width 16) with a method's defaults, from those of its parts."""


@pytest.fixture
def task() -> Task:
    return TASKS.make(TASK, key="task")


@pytest.fixture
def method(method_kind: str) -> Method:
    return METHODS.make(method_kind, key="method")


@pytest.fixture
def batch(random_batch: Callable[..., Any]) -> Any:
    return random_batch((7, 12, 3, 9))


def trained(model: Model, batch: Any, steps: int = 4) -> Model:
    """The model after some steps of AdamW towards class 1."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.02)
    for _ in range(steps):
        loss = torch.nn.functional.cross_entropy(model(batch).logits, torch.tensor([0, 1, 1, 2]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


def test_the_function_is_unchanged_at_the_start(
    method: Method, task: Task, batch: Any, tiny_model: Callable[..., Model]
) -> None:
    model = tiny_model(task).eval()
    before = model(batch).logits
    apply_method(model, method)
    assert torch.equal(model(batch).logits, before)


def test_only_what_the_method_names_moves_and_all_of_it(
    method: Method, task: Task, batch: Any, tiny_model: Callable[..., Model]
) -> None:
    model = tiny_model(task)
    apply_method(model, method)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    trained(model, batch)
    for name, parameter in model.named_parameters():
        moved = not torch.equal(parameter, before[name])
        assert moved == method.trains(name), name
        assert parameter.requires_grad == method.trains(name), name


def test_saved_and_loaded_weights_give_equal_logits(
    method: Method, task: Task, batch: Any, tiny_model: Callable[..., Model]
) -> None:
    model = tiny_model(task)
    apply_method(model, method)
    trained(model, batch)
    fresh = tiny_model(task, seed=5).eval()
    assert not torch.allclose(fresh(batch).logits, model(batch).logits, atol=1e-3)
    load_hub_state(fresh, hub_state(model))
    assert_close(fresh(batch).logits, model(batch).logits, rtol=1e-5, atol=1e-6)


def test_merged_equals_wrapped(method: Method, task: Task, batch: Any, tiny_model: Callable[..., Model]) -> None:
    model = tiny_model(task)
    apply_method(model, method)
    trained(model, batch)
    wrapped = model(batch).logits
    merge(model)
    assert_close(model(batch).logits, wrapped, rtol=1e-5, atol=1e-6)
    assert [name for name, _ in model.named_parameters()] == [name for name, _ in tiny_model(task).named_parameters()]


def test_the_number_of_trained_parameters_is_the_closed_form(
    method: Method, task: Task, tiny_model: Callable[..., Model]
) -> None:
    model = tiny_model(task)
    sizes = [sum(p.numel() for p in part.parameters()) for part in (model.backbone, model.head)]
    apply_method(model, method)
    found = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert method.kind() in COUNTS, "write the closed form of the kind into COUNTS"
    assert found == COUNTS[method.kind()](*sizes)


def test_a_rate_is_given(method: Method) -> None:
    assert 0 < method.learning_rate < 1
