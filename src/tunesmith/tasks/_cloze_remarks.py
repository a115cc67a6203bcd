"""What is worth knowing of a cloze beside its score: what the model would write itself, and how much order matters."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from tunesmith.core.batch import Batch, Encoding
from tunesmith.core.example import Example
from tunesmith.core.model import Model, Output
from tunesmith.core.prediction import Prediction
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.models.cloze_head import ClozeHead
from tunesmith.models.inference import WRITING_TOKENS, logits_of

MOST_ROWS = 200
"""Rows that are looked at, evenly spaced"""
ORDERS = 5
SHOWN, LOOKED_AT = 6, 20
"""Tokens told of each label, and the likeliest of each row that are added up"""


def some(examples: Sequence[Example]) -> list[Example]:
    """At most `MOST_ROWS` of the rows with gold."""
    rows = [example for example in examples if example.gold is not None]
    return rows[:: max(1, -(-len(rows) // MOST_ROWS))]


def at_the_blank(
    model: Model, windows: Sequence[Encoding], golds: Sequence[str], *, tokenizer: Tokenizer
) -> Iterator[str]:
    """For each gold label the tokens that begin the blank most likely, over the whole vocabulary, as a mean of rows."""
    head = model.head
    assert isinstance(head, ClozeHead), "the head was not made by this task"

    def likeliest(output: Output, batch: Batch) -> Tensor:
        shares = head.pretrained(output.hidden[:: head.nodes]).float().softmax(-1)
        top = shares.topk(min(LOOKED_AT, shares.shape[1]))
        return torch.stack([top.indices.float(), top.values], -1).repeat_interleave(head.nodes, 0)

    sums: defaultdict[str, defaultdict[int, float]] = defaultdict(lambda: defaultdict(float))
    counts: defaultdict[str, int] = defaultdict(int)
    for index, rows in logits_of(model, windows, batch_tokens=WRITING_TOKENS, read=likeliest):
        counts[golds[index]] += 1
        for token, share in rows[0].tolist():
            sums[golds[index]][int(token)] += share
    for label in sorted(sums):
        best = sorted(sums[label].items(), key=lambda item: (-item[1], item[0]))[:SHOWN]
        said = ", ".join(f"{tokenizer.shown(token)!r} {share / counts[label]:.1%}" for token, share in best)
        yield f"at the blank, {counts[label]} dev rows of {label!r}: {said}"


def over_orders(answers: Callable[[int], Sequence[Prediction]]) -> str:
    """How far accuracy moves with the order of the demonstrations; `answers(order)` are those of one order."""
    shares = []
    for order in range(1, ORDERS + 1):
        said = answers(order)
        shares.append(sum(item.predicted == item.gold for item in said) / max(1, len(said)))
    return (
        f"order of demonstrations: accuracy {min(shares):.3f} to {max(shares):.3f} over {ORDERS} random orders, on "
        f"{len(said)} dev rows"
    )
