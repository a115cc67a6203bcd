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
from tunesmith.models.additions import add, additions_state
from tunesmith.models.answering import answering
from tunesmith.models.hub_names import hub_state, load_hub_state
from tunesmith.models.surgery import apply_method, merge

TASK = {"kind": "text_classification", "labels": ["a", "b", "c"], "multi_label": False}
LAYERS, WIDTH, INNER, VOCABULARY = 2, 16, 32, 182
LINEAR = LAYERS * (4 * 2 * WIDTH + 2 * (WIDTH + INNER))
"""Inputs and outputs of all linear layers of the tiny model"""
LAYER = 4 * (WIDTH * WIDTH + WIDTH) + 2 * WIDTH * INNER + INNER + WIDTH + 4 * WIDTH
BIASES = WIDTH + LAYERS * (4 * WIDTH + INNER + WIDTH + 2 * WIDTH)
"""The norm of the embeddings has one too"""

Count = Callable[[int, int], int]
CASES: dict[str, list[tuple[dict[str, object], Count]]] = {
    "full": [({}, lambda backbone, head: backbone + head)],
    "head_only": [({}, lambda backbone, head: head)],
    "bitfit": [({}, lambda backbone, head: head + BIASES)],
    "ia3": [
        ({}, lambda backbone, head: head + LAYERS * (2 * WIDTH + INNER)),
        ({"inner": False, "targets": ["query"]}, lambda backbone, head: head + LAYERS * WIDTH),
    ],
    "lora": [
        ({}, lambda backbone, head: head + LAYERS * 2 * 8 * (WIDTH + WIDTH)),
        ({"rank": 4, "rank_stabilized": True}, lambda backbone, head: head + LAYERS * 2 * 4 * (WIDTH + WIDTH)),
        ({"rank": 3, "targets": ["all-linear"]}, lambda backbone, head: head + 3 * LINEAR),
        ({"rank": 3, "targets": ["words"]}, lambda backbone, head: head + 3 * (VOCABULARY + WIDTH)),
        ({"decomposed": True}, lambda backbone, head: head + LAYERS * 2 * (8 * (WIDTH + WIDTH) + WIDTH)),
        ({"start": "principal", "alpha": 8.0}, lambda backbone, head: head + LAYERS * 2 * 8 * (WIDTH + WIDTH)),
    ],
    "adalora": [({}, lambda backbone, head: head + 12 * (LINEAR + 6 * LAYERS))],
    "adapter": [
        ({}, lambda backbone, head: head + LAYERS * (2 * 64 * WIDTH + 64 + WIDTH)),
        ({"placement": "houlsby", "size": 4}, lambda backbone, head: head + 2 * LAYERS * (2 * 4 * WIDTH + 4 + WIDTH)),
    ],
    "prefix": [
        ({}, lambda backbone, head: head + LAYERS * 2 * 20 * WIDTH),
        (
            {"projected": True, "length": 3, "hidden": 8},
            lambda backbone, head: head + 3 * WIDTH + 8 * WIDTH + 8 + LAYERS * 2 * WIDTH * (8 + 1),
        ),
    ],
    "soft_prompt": [
        ({}, lambda backbone, head: head + 20 * WIDTH),
        (
            {"network": "mlp", "length": 3, "hidden": 8},
            lambda backbone, head: head + 3 * WIDTH + (WIDTH + 1) * 8 + 9 * 8 + 9 * WIDTH,
        ),
        (
            {"network": "lstm", "length": 3, "hidden": 4},
            lambda backbone, head: head + 3 * WIDTH + 2 * (16 * (WIDTH + 4 + 8 + 4) + 64) + 9 * 8 + 9 * WIDTH,
        ),
    ],
    "layer_freeze": [
        ({}, lambda backbone, head: head + LAYERS * LAYER),
        ({"top": 1, "gradual": True}, lambda backbone, head: head + LAYER),
    ],
}
"""Forms of every kind, with the trained parameters of the tiny model from those of its parts."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "method" in metafunc.fixturenames:
        forms = [(kind, options) for kind in METHODS.kinds for options, _ in CASES.get(kind, [({}, None)])]
        ids = [" ".join((kind, *(f"{key}={value}" for key, value in options.items()))) for kind, options in forms]
        metafunc.parametrize("method", forms, ids=ids, indirect=True)


@pytest.fixture
def method(request: pytest.FixtureRequest) -> Method:
    kind, options = request.param
    return METHODS.make({"kind": kind, **options}, key="method")


@pytest.fixture
def task() -> Task:
    return TASKS.make(TASK, key="task")


@pytest.fixture
def batch(random_batch: Callable[..., Any]) -> Any:
    return random_batch((7, 12, 3, 9), segments=True)


def trained(model: Model, batch: Any, steps: int = 4) -> Model:
    """The model after some steps of AdamW towards class 1."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.02)
    for _ in range(steps):
        loss = torch.nn.functional.cross_entropy(model(batch).logits, torch.tensor([0, 1, 1, 2]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


def names_of(model: Model) -> list[str]:
    return [name for name, _ in model.named_parameters()]


def test_the_function_is_unchanged_at_the_start_or_the_method_says_that_it_is_not(
    method: Method, task: Task, batch: Any, tiny_model: Callable[..., Model]
) -> None:
    model = tiny_model(task).eval()
    before = model(batch).logits
    apply_method(model, method)
    after = model(batch).logits
    if method.starts_as_identity:
        assert_close(after, before, rtol=1e-6, atol=1e-6)
    else:
        assert not torch.allclose(after, before, atol=1e-6)


def test_only_what_the_method_names_moves_and_all_of_it(
    method: Method, task: Task, batch: Any, tiny_model: Callable[..., Model]
) -> None:
    model = tiny_model(task)
    apply_method(model, method)
    named = method.trained(names_of(model))
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    trained(model, batch)
    for name, parameter in model.named_parameters():
        moved = not torch.equal(parameter, before[name])
        assert moved == (name in named), name
        assert parameter.requires_grad == (name in named), name


def test_a_window_answers_the_same_in_any_company(
    method: Method, task: Task, tiny_model: Callable[..., Model], random_batch: Callable[..., Any]
) -> None:
    model = tiny_model(task)
    apply_method(model, method)
    lengths = (7, 12, 3, 9, 12)
    batch = random_batch(lengths)
    trained(model, random_batch((7, 12, 3, 9)))
    together = model(batch).logits
    rows = batch.input_ids.split(lengths)
    for index, length in enumerate(lengths):
        alone = random_batch((length,))
        alone.input_ids.copy_(rows[index])
        assert_close(model(alone).logits[0], together[index], rtol=1e-5, atol=1e-5)


def test_saved_and_loaded_weights_give_equal_logits(
    method: Method, task: Task, batch: Any, tiny_model: Callable[..., Model]
) -> None:
    model = tiny_model(task)
    apply_method(model, method)
    trained(model, batch)
    fresh = tiny_model(task, seed=5).eval()
    assert not torch.allclose(fresh(batch).logits, model(batch).logits, atol=1e-3)
    wrapped = model(batch).logits
    merge(model)
    load_hub_state(fresh, hub_state(model))
    add(fresh, additions_state(model))
    assert_close(fresh(batch).logits, wrapped, rtol=1e-5, atol=1e-6)


def test_merged_equals_wrapped(method: Method, task: Task, batch: Any, tiny_model: Callable[..., Model]) -> None:
    model = tiny_model(task)
    apply_method(model, method)
    trained(model, batch)
    wrapped = model(batch).logits
    merge(model)
    assert_close(model(batch).logits, wrapped, rtol=1e-5, atol=1e-6)
    own = {key.replace("/", ".") for key in additions_state(model)}
    plain = [name.replace(".base.", ".") for name in names_of(model) if name not in own]
    assert sorted(plain) == sorted(names_of(tiny_model(task)))


def test_the_form_that_answers_gives_the_same(
    method: Method, task: Task, batch: Any, tiny_model: Callable[..., Model]
) -> None:
    model = tiny_model(task)
    apply_method(model, method)
    trained(model, batch)
    merge(model)
    with torch.inference_mode():
        expected = model(batch).logits
        assert_close(answering(model, precision="fp32")(batch).logits, expected, rtol=1e-5, atol=1e-5)
        rough = answering(model, precision="bf16")(batch).logits
    assert_close(rough, expected, rtol=0.1, atol=0.1)


def test_recomputing_layers_gives_the_same_gradient(
    method: Method, task: Task, batch: Any, tiny_model: Callable[..., Model]
) -> None:
    def gradients(*, recomputed: bool) -> dict[str, torch.Tensor]:
        torch.manual_seed(2)
        model = tiny_model(task)
        apply_method(model, method)
        model.backbone.gradient_checkpointing = recomputed
        model(batch).logits.square().sum().backward()
        return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}

    plain, again = gradients(recomputed=False), gradients(recomputed=True)
    assert plain.keys() == again.keys() and plain
    for name, gradient in plain.items():
        assert_close(again[name], gradient, rtol=1e-5, atol=1e-6)


def test_the_number_of_trained_parameters_is_the_closed_form(
    method: Method, task: Task, tiny_model: Callable[..., Model]
) -> None:
    model = tiny_model(task)
    sizes = [sum(p.numel() for p in part.parameters()) for part in (model.backbone, model.head)]
    apply_method(model, method)
    found = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert method.kind() in CASES, "write forms of the kind and their closed form into CASES"
    counts = {str(METHODS.make({"kind": method.kind(), **o}, key="method")): c for o, c in CASES[method.kind()]}
    assert found == counts[str(method)](*sizes)


def test_a_rate_is_given(method: Method) -> None:
    assert 0 < method.learning_rate < 1
