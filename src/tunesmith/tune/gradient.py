"""The gradient of one accumulation group: sums divided by the counts of the whole group, however it is cut.

    total = sum of task losses / count  +  sum over regularizers of weight * sum of terms / its count

Counts are taken before the first backward pass, so each pass already carries its final scale. A loss that is not
finite is found before anything learns from it, and the examples behind it are named.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from tunesmith.core.batch import Batch
from tunesmith.core.errors import NumericsError
from tunesmith.core.method import Guide
from tunesmith.core.model import Model, Output
from tunesmith.core.regularizer import Regularizer, Step
from tunesmith.core.seed import derived
from tunesmith.core.task import Task


@dataclass(frozen=True, slots=True)
class Objective:
    """What is minimised."""

    model: Model
    task: Task
    regularizers: Sequence[Regularizer] = ()
    guide: Guide | None = None
    """What accompanies the updates, for a method that has such"""


@dataclass(slots=True)
class GroupLoss:
    """Means over an accumulation group."""

    loss: float = 0.0
    terms: dict[str, float] = field(default_factory=dict)


def backward(
    objective: Objective, group: Sequence[Batch], *, seed: int, step: int, collect: Callable[[], None]
) -> GroupLoss:
    """Run every batch of the group forward and backward; `collect` is called after each backward pass.

    Dropout of batch i is drawn from the stream (seed, "dropout", step, i), so a resumed run draws the same.

    Raises:
        NumericsError: a loss is not finite; names the step and the examples.
    """
    scales = _scales(objective, group)
    result = GroupLoss()
    for index, batch in enumerate(group):
        _draw(seed, step, index)
        total = _weighed(objective, batch, scales, result)
        if not math.isfinite(total.item()):
            raise _not_finite(objective, batch, step)
        if total.requires_grad:
            total.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        collect()
    return result


@torch.no_grad()
def loss_as_learnt(objective: Objective, group: Sequence[Batch], *, seed: int, step: int) -> float:
    """The task's mean loss over a group under the dropout that `backward` draws at this step."""
    model, task, total = objective.model, objective.task, 0.0
    model.train()
    for index, batch in enumerate(group):
        _draw(seed, step, index)
        total += task.loss(model(batch), batch, head=model.head).item()
    return total / max(1.0, sum(task.count(batch) for batch in group))


def _draw(seed: int, step: int, index: int) -> None:
    """Begin the stream of this pass; `torch.manual_seed` would write down the stack each time for GPUs nobody uses."""
    stream = derived(seed, "dropout", step, index)
    torch.default_generator.manual_seed(stream)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # torch leaves it untyped
        torch.cuda.manual_seed_all(stream)


def _weighed(objective: Objective, batch: Batch, scales: Sequence[float], result: GroupLoss) -> Tensor:
    """The batch's share of the group's total, with its parts added to `result`."""
    model, task = objective.model, objective.task
    output = model(batch)
    total = task.loss(output, batch, head=model.head) * scales[0]
    result.loss += total.item()
    seen = Step(model, task, batch, output)
    for regularizer, scale in zip(objective.regularizers, scales[1:], strict=True):
        if not regularizer.weight:
            continue
        term = regularizer.term(seen) * (regularizer.weight * scale)
        kind = regularizer.kind()
        result.terms[kind] = result.terms.get(kind, 0.0) + term.item()
        total = total + term
    return total


def _scales(objective: Objective, group: Sequence[Batch]) -> list[float]:
    """One over the count of the whole group, for the task and for each regularizer; 0 where nothing is counted.

    A regularizer is asked before the forward pass, with an empty output: a count may look at the batch alone.
    """
    counts = [sum(objective.task.count(batch) for batch in group)]
    unseen = Output(torch.empty(0, 0), nn.Identity())
    for regularizer in objective.regularizers:
        steps = (Step(objective.model, objective.task, batch, unseen) for batch in group)
        counts.append(sum(regularizer.count(step) for step in steps))
    return [1 / count if count else 0.0 for count in counts]


def _not_finite(objective: Objective, batch: Batch, step: int) -> NumericsError:
    return NumericsError(
        f"the loss of step {step} is not a finite number; examples {_named(_guilty(objective, batch))}",
        code="TS-TUNE-010",
        fix='look at these examples, lower train.learning_rate, or use train.precision = "fp32". Nothing was updated.',
    )


def _guilty(objective: Objective, batch: Batch) -> Sequence[str]:
    """The examples whose own loss is not finite without dropout; all of the batch where none is guilty alone."""
    model, found = objective.model, []
    model.eval()
    with torch.no_grad():
        for index in range(len(batch.ids)):
            alone = _alone(batch, index)
            loss = objective.task.loss(model(alone), alone, head=model.head) if len(alone.places) else torch.zeros(())
            if not math.isfinite(loss.item()):
                found.append(batch.ids[index])
    return found or batch.ids


def _alone(batch: Batch, index: int) -> Batch:
    """One window of a batch as a batch."""
    start = sum(batch.window_lengths[:index])
    rows = slice(start, start + batch.window_lengths[index])
    counts = batch.part_counts or (1,) * len(batch.ids)
    own = slice(sum(counts[:index]), sum(counts[: index + 1]))
    first = sum(batch.place_counts[:index])
    places = slice(first, first + batch.place_counts[index])
    return replace(
        batch,
        input_ids=batch.input_ids[rows],
        segment_ids=None if batch.segment_ids is None else batch.segment_ids[rows],
        positions=batch.positions[rows],
        lengths=batch.lengths[own],
        places=batch.places[places] - start,
        targets=None if batch.targets is None else batch.targets[places],
        weight=batch.weight[places],
        ids=batch.ids[index : index + 1],
        place_counts=batch.place_counts[index : index + 1],
        part_counts=counts[index : index + 1],
        hidden=None if batch.hidden is None else batch.hidden[places],
    )


def gradient_error(batches: Sequence[Batch], step: int, parameters: Sequence[str]) -> NumericsError:
    """The error for a gradient that is not finite although the loss is."""
    ids = [name for batch in batches for name in batch.ids]
    where = f" (first in {parameters[0]})" if parameters else ""
    return NumericsError(
        f"the gradient of step {step} is not finite{where}; examples {_named(ids)}",
        code="TS-TUNE-011",
        fix='lower train.learning_rate, or use train.precision = "fp32". Nothing was updated.',
    )


def _named(ids: Sequence[str], most: int = 16) -> str:
    ids = [name for name in ids if name]  # rounding adds a window without an id
    rest = f" and {len(ids) - most} more" if len(ids) > most else ""
    return ", ".join(ids[:most]) + rest
