"""Golden rows: a few texts with the logits and answers of the day the bundle was written.

Whoever opens the bundle later, on whatever machine, can tell whether it still computes the same: the logits are
recomputed, and the stored logits are decoded again, which catches labels that changed places.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from tunesmith.bundle.answered import Answered, answered, likelihoods_of
from tunesmith.bundle.integrity import read_bytes
from tunesmith.bundle.manifest import GOLDEN
from tunesmith.bundle.read import Bundle
from tunesmith.core.errors import ModelFileError, Place
from tunesmith.core.example import Example, Source
from tunesmith.core.prediction import Prediction
from tunesmith.core.strict_json import JsonFault, parse
from tunesmith.core.task import LabellingTask, RankingTask, WritingTask

ROWS: Final = 32
LONGEST: Final = 2000
"""Characters of a golden text: the rows are read before every start, so they stay short."""
TOLERANCE: Final = 1e-3
"""Allowed difference of a logit, on top of the same share of its size: other processors sum in another order."""
CLOSE: Final = 1e-4
"""Allowed difference of a confidence."""


@dataclass(frozen=True, slots=True)
class GoldenRow:
    """One text, the logits [m, C] of each of its windows, and the answer as a record."""

    example: Example
    logits: tuple[Tensor, ...]
    answer: dict[str, Any]


def chosen(examples: Sequence[Example]) -> list[Example]:
    """At most 32 examples that are short enough, spread over all of them."""
    fit = [item for item in examples if item.text.strip() and len(item.text) + len(item.pair or "") <= LONGEST]
    step = max(1, len(fit) // ROWS)
    return fit[::step][:ROWS]


def made(bundle: Bundle, examples: Sequence[Example]) -> list[GoldenRow]:
    """The golden rows of `examples` as `bundle` answers them now."""
    said = _answered(bundle, [_bare(example) for example in examples])
    grouped = _by_example(said, len(examples))
    return [
        GoldenRow(_bare(example), logits, prediction.as_record())
        for example, logits, prediction in zip(examples, grouped, said.predictions, strict=True)
    ]


def dumped(rows: Sequence[GoldenRow]) -> bytes:
    """`golden.jsonl`. Nine digits give every fp32 value back exactly."""
    return "".join(f"{json.dumps(_record(row), ensure_ascii=False, allow_nan=False)}\n" for row in rows).encode()


def read(folder: Path) -> list[GoldenRow]:
    """The golden rows of a bundle.

    Raises:
        ModelFileError: not the rows that `dumped` writes.
    """
    path = folder / GOLDEN
    rows = []
    for line, data in enumerate(read_bytes(path).splitlines(), start=1):
        try:
            rows.append(_parsed(parse(data), line))
        except (JsonFault, KeyError, TypeError, ValueError, RuntimeError):
            raise ModelFileError(
                "golden.jsonl holds a row that is no golden row",
                code="TS-BUNDLE-012",
                place=Place(file=str(path), line=line),
                fix="write the bundle again from a run that you trust.",
            ) from None
    return rows


def prove(bundle: Bundle) -> int:
    """Answer the golden rows of an open bundle and give back how many there are.

    Raises:
        ModelFileError: an answer is not what it was when the bundle was written.
    """
    rows = read(bundle.folder)
    for difference in differences(bundle, rows):
        raise ModelFileError(
            f"the model no longer answers as it did: {difference}",
            code="TS-BUNDLE-017",
            place=Place(file=str(bundle.folder / GOLDEN)),
            fix="check the versions of torch and tokenizers against the provenance in bundle.json.",
        )
    return len(rows)


def differences(bundle: Bundle, rows: Sequence[GoldenRow], *, tolerance: float = TOLERANCE) -> Iterator[str]:
    """What is not as it was, one sentence a row; nothing where all is well. `tolerance` is that of logits."""
    if not rows:
        return
    examples, task = [row.example for row in rows], bundle.task
    if isinstance(task, WritingTask):  # how likely the stored answers are now: a near tie may be written otherwise
        said = _likelihoods(bundle, task, examples, [Prediction.from_record(row.answer) for row in rows])
    else:
        said = _answered(bundle, examples)
    stored = [tensor for row in rows for tensor in row.logits]
    if len(stored) != len(said.windows):
        yield f"{len(said.windows)} windows where {len(stored)} were stored"
        return
    for index, (row, logits) in enumerate(zip(rows, _by_example(said, len(rows)), strict=True), start=1):
        beyond = gap(row.logits, logits, tolerance=tolerance)
        if beyond > 0:
            yield f"row {index}: a logit is off by {beyond:.3g} beyond the tolerance"
    if isinstance(task, LabellingTask):
        again = task.decode(examples, said.windows, stored, head=bundle.model.head)
        yield from _other_answers(rows, [now.as_record() for now in again])
    if isinstance(task, RankingTask):
        near = [replace(row, answer=_nearness(row.answer)) for row in rows]
        yield from _other_answers(near, [_nearness(now.as_record()) for now in said.predictions])


def _other_answers(rows: Sequence[GoldenRow], now: Sequence[dict[str, Any]]) -> Iterator[str]:
    for index, (row, answer) in enumerate(zip(rows, now, strict=True), start=1):
        if not _same(row.answer, answer):
            yield f"row {index}: the stored logits now mean another answer"


def _nearness(answer: dict[str, Any]) -> dict[str, Any]:
    """The cosines alone: of a near tie, another document may come first on another processor."""
    said = answer["predicted"]
    return {"predicted": [item["score"] for item in said] if isinstance(said, list) else said}


def gap(stored: Sequence[Tensor], now: Sequence[Tensor], *, tolerance: float) -> float:
    """How far the worst logit lies outside `tolerance * (1 + its size)`; infinite where shapes differ."""
    if [tensor.shape for tensor in stored] != [tensor.shape for tensor in now]:
        return float("inf")
    beyond = [((a - b).abs() - tolerance * (1 + a.abs())).max() for a, b in zip(stored, now, strict=True) if a.numel()]
    return float(max(beyond, default=torch.tensor(0.0)))


def _answered(bundle: Bundle, examples: Sequence[Example]) -> Answered:
    """What is said of the examples; where answers are written, its evidence is the likelihood of each token."""
    said = answered(bundle.model, bundle.task, examples, tokenizer=bundle.tokenizer, source=bundle.collection)
    if not isinstance(bundle.task, WritingTask):
        return said
    return _likelihoods(bundle, bundle.task, examples, said.predictions)


def _likelihoods(
    bundle: Bundle, task: WritingTask, examples: Sequence[Example], answers: Sequence[Prediction]
) -> Answered:
    """Answers that were written, with log p [m, 1] of their tokens."""
    asked = [replace(example, gold=str(said.predicted)) for example, said in zip(examples, answers, strict=True)]
    windows = task.encode(asked, bundle.tokenizer)
    return Answered(list(answers), windows, [seen[:, None] for seen in likelihoods_of(bundle.model, task, windows)])


def _bare(example: Example) -> Example:
    """The example without its labels: golden rows ask, they do not teach."""
    source = Source(GOLDEN, 1)
    return replace(example, gold=None, group=None, time=None, weight=1.0, source=source)


def _by_example(said: Answered, count: int) -> list[tuple[Tensor, ...]]:
    grouped: list[list[Tensor]] = [[] for _ in range(count)]
    for window, logits in zip(said.windows, said.logits, strict=True):
        grouped[window.example].append(logits)
    return [tuple(tensors) for tensors in grouped]


def _record(row: GoldenRow) -> dict[str, Any]:
    logits = [[[float(f"{value:.9g}") for value in place] for place in tensor.tolist()] for tensor in row.logits]
    return {"answer": row.answer, "logits": logits}


def _parsed(record: dict[str, Any], line: int) -> GoldenRow:
    said = Prediction.from_record(record["answer"])
    source = Source(GOLDEN, line)
    example = Example(id=said.id, text=said.text, pair=said.pair, words=said.words, turns=said.turns, source=source)
    logits = tuple(torch.tensor(window, dtype=torch.float32).reshape(len(window), -1) for window in record["logits"])
    return GoldenRow(example, logits, record["answer"])


def _same(stored: object, now: object) -> bool:
    """Equal records, with room in the last digits of confidences."""
    if isinstance(stored, dict) and isinstance(now, dict):
        names = stored.keys() | now.keys()
        return all(name == "source" or _same(stored.get(name), now.get(name)) for name in names)
    if isinstance(stored, list) and isinstance(now, list):
        return len(stored) == len(now) and all(_same(a, b) for a, b in zip(stored, now, strict=True))
    if isinstance(stored, float) and isinstance(now, float):
        return abs(stored - now) <= CLOSE * (1 + abs(stored))
    return bool(stored == now)
