"""From rows laid end to end to small padded blocks and back: the only place where padding exists.

Windows are sorted by length and cut into at most four chunks; a chunk is padded to its own longest window. Every row
is used exactly once, so both directions have a gather as their backward and nothing is accumulated.

Shapes: B windows, N rows, b windows of a chunk, L the longest of them, P = sum of b * L over the chunks, D width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MAX_CHUNKS = 4
_OVERHEAD, _OVERHEAD_ON_GPU = 2000, 1_000_000
"""What one more chunk costs, in elements of a padded score table; a GPU waits for calls and not for arithmetic."""
_ROW = 64
"""What one padded row costs in gathering and copying, in the same unit."""
_MAX_BORDERS = 32


@dataclass(frozen=True, slots=True)
class Chunk:
    """Windows that are padded together."""

    windows: int
    """b"""
    longest: int
    """L"""
    real: Tensor | None
    """[b, L] bool, false on padding; None where all windows are equally long"""

    @property
    def rows(self) -> int:
        """b * L."""
        return self.windows * self.longest


@dataclass(frozen=True, slots=True)
class Plan:
    """How a batch is cut. `gather` [P] names the row of N behind every padded row, `place` [N] is its inverse."""

    chunks: tuple[Chunk, ...]
    gather: Tensor
    place: Tensor
    straight: bool
    """Whether the rows already lie as one chunk without padding, so that there is nothing to gather"""

    @property
    def sizes(self) -> list[int]:
        """b * L of every chunk."""
        return [chunk.rows for chunk in self.chunks]


def plan(lengths: Sequence[int], device: torch.device) -> Plan:
    """The chunks of windows with these `lengths` [B], index tensors on `device`."""
    return _plan(tuple(lengths), device)


@lru_cache(maxsize=16)  # every layer, the recomputation of checkpointing and R-Drop's second pass ask again
@torch.inference_mode(False)  # training may meet a plan that an evaluation made, and must be able to keep its tensors
def _plan(lengths: tuple[int, ...], device: torch.device) -> Plan:
    size = np.asarray(lengths, np.int64)
    starts = np.concatenate(([0], size.cumsum()[:-1]))
    order = np.argsort(-size, kind="stable")
    chunks, gathers = [], []
    place = np.empty(int(size.sum()), np.int64)
    base = 0
    for group in cut(size[order], overhead=_OVERHEAD if device.type == "cpu" else _OVERHEAD_ON_GPU):
        members = order[group]
        longest = int(size[members[0]])
        column = np.arange(longest)
        real = column < size[members, None]
        rows = starts[members, None] + np.minimum(column, size[members, None] - 1)  # padding repeats the last row
        place[rows[real]] = base + np.flatnonzero(real)
        base += rows.size
        gathers.append(rows.ravel())
        mask = None if real.all() else torch.from_numpy(real).to(device)
        chunks.append(Chunk(len(members), longest, mask))
    gather = torch.from_numpy(np.concatenate(gathers)).to(device)
    straight = len(chunks) == 1 and chunks[0].real is None  # a stable sort leaves equally long windows in order
    return Plan(tuple(chunks), gather, torch.from_numpy(place).to(device), straight)


def cut(descending: NDArray[np.int64], *, overhead: int = _OVERHEAD) -> list[slice]:
    """At most `MAX_CHUNKS` neighbouring groups that cost least: sum of b * L * (L + _ROW), scores and copies.

    A group costs `overhead` besides, which stands for the calls that every chunk makes. The best borders are found by
    dynamic programming over the places where the length changes.
    """
    borders = [0, *(np.flatnonzero(np.diff(descending)) + 1).tolist(), len(descending)]
    if len(borders) > _MAX_BORDERS:
        borders = sorted({borders[index * (len(borders) - 1) // _MAX_BORDERS] for index in range(_MAX_BORDERS + 1)})
    edges = np.asarray(borders)
    longest = descending[np.minimum(edges, len(descending) - 1)][:, None]
    area = (edges[None, :] - edges[:, None]) * longest * (longest + _ROW)
    cost = np.where(edges[None, :] > edges[:, None], area + overhead, np.iinfo(np.int64).max // 8)
    best, came = cost[0], []
    for _ in range(min(MAX_CHUNKS, len(borders) - 1) - 1):
        through = best[:, None] + cost
        came.append(np.where(through.min(0) < best, through.argmin(0), -1))
        best = np.minimum(best, through.min(0))
    return _walk_back(borders, came)


def _walk_back(borders: list[int], came: list[NDArray[np.int64]]) -> list[slice]:
    """The groups from the last border to the first; -1 says that one group fewer was no worse."""
    groups, end = [], len(borders) - 1
    for choice in reversed(came):
        if choice[end] > 0:
            groups.append(slice(borders[choice[end]], borders[end]))
            end = int(choice[end])
    return [slice(0, borders[end]), *reversed(groups)]


class _ToChunks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, plan: Plan) -> tuple[Tensor, ...]:  # noqa: ANN401  # torch's context has no type
        ctx.plan = plan
        padded = rows.index_select(0, plan.gather)
        return torch.split(padded, plan.sizes)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401  # torch's context has no type
        return torch.cat(gradients).index_select(0, ctx.plan.place), None


class _ToRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, plan: Plan, *blocks: Tensor) -> Tensor:  # noqa: ANN401  # torch's context has no type
        ctx.plan = plan
        return torch.cat(blocks).index_select(0, plan.place)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401  # torch's context has no type
        (gradient,) = gradients
        padded = gradient.new_zeros(len(ctx.plan.gather), gradient.shape[1])
        padded.index_copy_(0, ctx.plan.place, gradient)
        return None, *torch.split(padded, ctx.plan.sizes)


def to_chunks(rows: Tensor, plan: Plan) -> tuple[Tensor, ...]:
    """[N, D] to one [b * L, D] per chunk. Gradients at padded rows must be zero, as attention leaves them."""
    if plan.straight:
        return (rows,)
    blocks: tuple[Tensor, ...] = _ToChunks.apply(rows, plan)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return blocks


def to_rows(blocks: Sequence[Tensor], plan: Plan) -> Tensor:
    """One [b * L, D] per chunk back to [N, D]; padded rows are left behind."""
    if plan.straight:
        return blocks[0]
    rows: Tensor = _ToRows.apply(plan, *blocks)  # type: ignore[no-untyped-call]  # torch leaves apply untyped
    return rows
