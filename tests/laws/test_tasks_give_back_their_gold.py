"""decode(perfect scores for encode(gold)) = gold, over several tokenizers, with CJK, emoji and blanks."""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tunesmith.core.batch import Encoding
from tunesmith.core.example import Example, LabelAndSpans, Node, Span
from tunesmith.core.model import Model
from tunesmith.core.prediction import LabelAndScoredSpans, Prediction, ScoredNode
from tunesmith.core.rooms import TASKS
from tunesmith.core.task import LabellingTask
from tunesmith.core.tokenizer import Tokenizer


def perfect(encoding: Encoding, classes: int) -> Tensor:
    """Logits [m, C] that leave no doubt about the targets."""
    targets = encoding.targets
    assert targets is not None
    if targets.ndim == 2:
        return torch.from_numpy((targets * 2 - 1) * 30).float()
    if targets.dtype == np.float32:
        return torch.from_numpy(targets)[:, None]
    return torch.nn.functional.one_hot(torch.from_numpy(targets), classes).float() * 30


def answered(task: LabellingTask, examples: list[Example], tokenizer: Tokenizer, model: Model) -> list[Prediction]:
    encodings = task.encode(examples, tokenizer)
    logits = [perfect(encoding, len(task.label_names)) for encoding in encodings]
    return task.decode(examples, encodings, logits, head=model.head)


def comparable(gold: Any) -> Any:
    if isinstance(gold, float):
        return round(gold, 4)
    if isinstance(gold, LabelAndSpans | LabelAndScoredSpans):
        return gold.label, comparable(gold.spans)
    if isinstance(gold, tuple):
        return sorted(bare(item) for item in gold)
    return gold


def bare(item: Any) -> Any:
    """A part of an answer without its confidence."""
    match item:
        case str() | Span():
            return item
        case Node() | ScoredNode():
            return item.label
    return item.span()


def test_every_kind_of_task_is_tried(tried_kinds: set[str]) -> None:
    own = {kind for kind in TASKS.kinds if TASKS.component(kind).__module__.startswith("tunesmith.")}
    assert own == tried_kinds, "add examples for the kind to MADE in tests/laws/conftest.py"


def test_perfect_scores_decode_to_the_gold(
    labelling: Any, trained_tokenizer: Tokenizer, tiny_model: Callable[..., Model]
) -> None:
    for seed in range(4):
        examples = labelling.examples(seed=seed, count=20)
        task = labelling.task(examples)
        predictions = answered(task, examples, trained_tokenizer, tiny_model(task))
        assert [comparable(p.predicted) for p in predictions] == [comparable(task.asked(e).gold) for e in examples]
        assert [(p.id, p.text, p.pair, p.source) for p in predictions] == [
            (e.id, e.text, e.pair, e.source) for e in examples
        ]


def test_examples_without_gold_are_answered(
    labelling: Any, tiny_tokenizer: Tokenizer, tiny_model: Callable[..., Model]
) -> None:
    examples = labelling.examples()
    task = labelling.task(examples)
    bare = [replace(example, gold=None) for example in examples]
    with_gold, encodings = task.encode(examples, tiny_tokenizer), task.encode(bare, tiny_tokenizer)
    assert all(encoding.targets is None for encoding in encodings)
    assert [e.input_ids.tolist() for e in encodings] == [e.input_ids.tolist() for e in with_gold]
    logits = [perfect(encoding, len(task.label_names)) for encoding in with_gold]
    predictions = task.decode(bare, encodings, logits, head=tiny_model(task).head)
    assert [comparable(p.predicted) for p in predictions] == [comparable(task.asked(e).gold) for e in examples]
    assert all(prediction.gold is None for prediction in predictions)


def test_a_bound_task_does_not_depend_on_the_order_of_rows_and_survives_being_saved(case: Any) -> None:
    examples = case.examples()
    task = case.task(examples)
    assert case.task(random.Random(1).sample(examples, len(examples))) == task
    assert task.bound(examples) == task
    assert TASKS.make(json.loads(json.dumps(task.as_table())), key="task") == task


def test_no_examples_no_predictions(
    labelling: Any, tiny_tokenizer: Tokenizer, tiny_model: Callable[..., Model]
) -> None:
    task = labelling.task(labelling.examples())
    assert task.encode([], tiny_tokenizer) == []
    assert not isinstance(task, LabellingTask) or task.decode([], [], [], head=tiny_model(task).head) == []
