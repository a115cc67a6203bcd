"""The same rows put before every window of a ragged batch, and the batch that then lies there.

Both directions are gathers: the gradient of the rows is a sum over windows, and nothing is accumulated row by row.

Shapes: B windows, N rows, P rows before each of them, N' = N + B P, D width of a row.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from tunesmith.core.batch import Batch


class Places(NamedTuple):
    """Where rows lie once there are others before every window."""

    kept: Tensor
    """[N] of the old rows among N'"""
    added: Tensor
    """[B P] of the new rows among N', window by window"""


def insert(x: Tensor, rows: Tensor, lengths: Sequence[int]) -> tuple[Tensor, Tensor]:
    """[N, D] with `rows` [P, D] before each window of `lengths` [B]: [N', D], and where the old rows lie now [N]."""
    places = _places(tuple(lengths), len(rows), x.device)
    longer: Tensor = _Insert.apply(x, rows, places)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return longer, places.kept


def behind(batch: Batch, count: int) -> tuple[Batch, Tensor]:
    """The batch with `count` rows before every window, and where the old rows lie [N].

    New rows have the token id 0, which somebody replaces, and the first segment. Positions go on behind them, and
    labels stay on the rows they stood on.
    """
    places = _places(batch.lengths, count, batch.input_ids.device)
    size = len(places.kept) + len(places.added)
    input_ids = batch.input_ids.new_zeros(size).index_copy_(0, places.kept, batch.input_ids)
    positions = batch.positions.new_empty(size).index_copy_(0, places.kept, batch.positions + count)
    own = torch.arange(count, device=positions.device).repeat(len(batch.lengths))
    segments = batch.segment_ids
    longer = replace(
        batch,
        input_ids=input_ids,
        positions=positions.index_copy_(0, places.added, own),
        segment_ids=None if segments is None else segments.new_zeros(size).index_copy_(0, places.kept, segments),
        lengths=tuple(length + count for length in batch.lengths),
        places=places.kept[batch.places],
    )
    return longer, places.kept


class _Insert(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, rows: Tensor, places: Places) -> Tensor:  # noqa: ANN401  # torch's context has no type
        ctx.places, ctx.count = places, len(rows)
        windows = len(places.added) // len(rows)
        longer = x.new_empty(len(x) + len(places.added), x.shape[1])
        longer.index_copy_(0, places.kept, x)
        return longer.index_copy_(0, places.added, rows.repeat(windows, 1))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:  # noqa: ANN401  # torch's context has no type
        (gradient,) = gradients
        own = gradient.index_select(0, ctx.places.added).view(-1, ctx.count, gradient.shape[1])
        return gradient.index_select(0, ctx.places.kept), own.sum(0), None


@lru_cache(maxsize=16)  # every layer, and the recomputation of checkpointing, ask again
@torch.inference_mode(False)
def _places(lengths: tuple[int, ...], count: int, device: torch.device) -> Places:
    size = np.asarray(lengths)
    window = np.repeat(np.arange(len(size)), size)
    kept = np.arange(len(window)) + count * (window + 1)
    starts = np.concatenate(([0], size.cumsum()[:-1])) + count * np.arange(len(size))
    added = (starts[:, None] + np.arange(count)).ravel()
    return Places(torch.from_numpy(kept).to(device), torch.from_numpy(added).to(device))
