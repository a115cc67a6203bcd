"""Rows of single heads, put where batched matrix products want them and back.

The d numbers of a head lie side by side. So one gather of rows of d takes a batch from where its windows lie end to end
to padded blocks, heads first, and another one back: no further pass over memory moves the heads.

Shapes: N rows, b blocks of a chunk, L rows of a block, P = sum of b * L over the chunks, D width, H heads, d = D / H;
parts: 3 where query, key and value lie side by side, else 1.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from tunesmith.models.ragged import Chunk, Plan


def split_heads(rows: Tensor, plan: Plan, heads: int, parts: int) -> Tensor:
    """[N, parts * D] to [parts, P * H, d], one chunk after the other. On padding lies some row."""
    size = rows.shape[1] // (parts * heads)
    return rows.reshape(-1, size).index_select(0, _numbers(plan, heads, parts).gather).view(parts, -1, size)


def join_heads(laid: Tensor, plan: Plan, heads: int) -> Tensor:
    """[parts, P * H, d] to [N, parts * D]; padding is left behind."""
    rows = laid.view(-1, laid.shape[2]).index_select(0, _numbers(plan, heads, len(laid)).place)
    return rows.view(len(plan.place), -1)


def clear_padding(laid: Tensor, plan: Plan, heads: int) -> Tensor:
    """[1, P * H, d] with zeros on padding, in place."""
    return laid if plan.straight else laid.index_fill_(1, _numbers(plan, heads, 1).padding, 0)


def by_chunk(laid: Tensor, plan: Plan, heads: int) -> list[Tensor]:
    """[parts, P * H, d] seen as one [parts, b * H, L, d] per chunk."""
    views = laid.split_with_sizes([chunk.rows * heads for chunk in plan.chunks], 1)
    return [
        view.view(len(laid), -1, chunk.longest, laid.shape[2]) for view, chunk in zip(views, plan.chunks, strict=True)
    ]


def heads_first(rows: Tensor, chunk: Chunk, heads: int, parts: int, dtype: torch.dtype | None = None) -> Tensor:
    """[b * L, parts * D] to [parts, b * H, L, d], contiguous and of that type, for one chunk."""
    split = rows.view(chunk.blocks, chunk.longest, parts, heads, -1).permute(2, 0, 3, 1, 4)
    return _laid_out(split, dtype or rows.dtype).view(parts, chunk.blocks * heads, chunk.longest, -1)


def heads_last(split: Tensor, chunk: Chunk, heads: int, dtype: torch.dtype | None = None) -> Tensor:
    """[parts, b * H, L, d] to [b * L, parts * D], contiguous and of that type, for one chunk."""
    rows = split.view(len(split), chunk.blocks, heads, chunk.longest, -1).permute(1, 3, 0, 2, 4)
    return _laid_out(rows, dtype or split.dtype).view(chunk.rows, -1)


def _laid_out(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Contiguous and of a type, in one pass over the memory."""
    return x.contiguous() if x.dtype == dtype else x.to(dtype, memory_format=torch.contiguous_format)


class _Numbers(NamedTuple):
    """Where rows of d lie: N * parts * H of them end to end, parts * P * H in chunks."""

    gather: Tensor
    """[parts * P * H] which row lies there"""
    place: Tensor
    """[N * parts * H] its inverse"""
    padding: Tensor
    """Places of padding"""


@lru_cache(maxsize=4)  # two batches: these are large, and layers, recomputation and R-Drop ask for the batch in hand
@torch.inference_mode(False)
def _numbers(plan: Plan, heads: int, parts: int) -> _Numbers:
    count, device = len(plan.place) * parts * heads, plan.place.device
    own = torch.arange(count, device=device).view(len(plan.place), -1)
    padded = own.new_full((len(plan.gather), own.shape[1]), count).index_copy_(0, plan.place, own)
    chunks = zip(padded.split_with_sizes(plan.sizes), plan.chunks, strict=True)
    gather = torch.cat([heads_first(rows, chunk, heads, parts).flatten(1) for rows, chunk in chunks], 1).flatten()
    place = torch.empty(count + 1, dtype=torch.int64, device=device)
    place.index_copy_(0, gather, torch.arange(len(gather), device=device))  # all padding ends in the last one
    padding = (gather == count).nonzero().flatten()
    return _Numbers(gather.index_fill_(0, padding, 0), place[:-1], padding)
