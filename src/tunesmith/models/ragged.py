"""From rows laid end to end to small padded blocks and back: the only place where padding is made.

Windows are sorted by length and cut into at most four chunks. A chunk is a stack of equally long blocks: each holds one
window, padded to the longest of them, or where that is asked for, as many short windows as fit, which do not see each
other. Fewer and fuller blocks make more products of windows that have nothing to do with each other, and far fewer
calls. Every row is used exactly once, so both directions have a gather as their backward and nothing is accumulated.

Shapes: B windows, N rows, b blocks of a chunk, L rows of a block, P = sum of b * L over the chunks, D width.
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
_ROW = 64
"""What one padded row costs in gathering and copying, in elements of a padded score table."""
_SIDE = 16
"""Blocks of several windows are as long as a multiple of it: few sizes need few kernels."""
_MAX_BORDERS = 32


@dataclass(frozen=True, slots=True)
class Costs:
    """What decides how windows are put together, in elements of a padded score table."""

    chunk: int
    """What one more chunk costs in calls"""
    shared: float | None
    """What an element costs where windows share a block; None where they must not"""

    def alone(self, count: Any, longest: Any) -> Any:  # noqa: ANN401  # numbers or arrays of them
        """`count` windows in a block each."""
        return count * longest * (longest + _ROW)

    def together(self, blocks: Any, longest: Any) -> Any:  # noqa: ANN401  # numbers or arrays of them
        """Blocks that windows share."""
        return blocks * longest * (longest * (self.shared or 1.0) + _ROW)


ANSWERING = Costs(2000, None)
LEARNING, LEARNING_BF16 = Costs(4000, 1.5), Costs(16_000, 1.0)
"""With a backward pass there are more calls, and full blocks pay; in bf16 more so, whose products want to be large"""
ON_GPU = Costs(1_000_000, None)
"""A GPU waits for calls and not for arithmetic"""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Windows that are padded together."""

    blocks: int
    """b"""
    longest: int
    """L"""
    seen: Tensor | None
    """Which rows of a block each of its rows sees, [b, L, L] bool, or [b, 1, L] where a block holds one window and all
    see the same, or [1, L, L] where all blocks are alike; None where every row sees all. What padding sees does not
    matter, but it sees something"""

    @property
    def rows(self) -> int:
        """b * L."""
        return self.blocks * self.longest


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """How a batch is cut. `gather` [P] names the row of N behind every padded row, `place` [N] is its inverse."""

    chunks: tuple[Chunk, ...]
    gather: Tensor
    place: Tensor
    straight: bool
    """Whether the rows already lie as one chunk without padding, so that there is nothing to gather"""
    lengths: tuple[int, ...]
    """[B] of the windows"""
    costs: Costs
    """What it was made by"""
    causal: bool
    """Whether a row sees only what stands before it, and itself"""

    @property
    def sizes(self) -> list[int]:
        """b * L of every chunk."""
        return [chunk.rows for chunk in self.chunks]


def plan(lengths: Sequence[int], device: torch.device, costs: Costs = ANSWERING, *, causal: bool = False) -> Plan:
    """The chunks of windows with these `lengths` [B] that cost least, index tensors on `device`.

    With `causal` a row sees only what stands before it in its window, and itself.
    """
    return _plan(tuple(lengths), device, costs, causal)


@lru_cache(maxsize=16)  # every layer, the recomputation of checkpointing and R-Drop's second pass ask again
@torch.inference_mode(False)  # training may meet a plan that an evaluation made, and must be able to keep its tensors
def _plan(lengths: tuple[int, ...], device: torch.device, costs: Costs, causal: bool) -> Plan:
    size = np.asarray(lengths, np.int64)
    starts = np.concatenate(([0], size.cumsum()[:-1]))
    order = np.argsort(-size, kind="stable")
    chunks, gathers = [], []
    place = np.empty(int(size.sum()), np.int64)
    base = 0
    for group in cut(size[order], costs):
        members = order[group]
        blocks, longest = _blocks(size[members], costs)
        owner = np.full((len(blocks), longest), -1)
        for block, inside in zip(owner, blocks, strict=True):
            mine = members[inside]
            block[: size[mine].sum()] = np.repeat(mine, size[mine])
        real = owner >= 0
        rows = np.zeros(owner.shape, np.int64)  # padding repeats a row, it does not matter which
        rows[real] = np.concatenate([np.arange(starts[m], starts[m] + size[m]) for i in blocks for m in members[i]])
        place[rows[real]] = base + np.flatnonzero(real)
        base += rows.size
        gathers.append(rows.ravel())
        seen = _seen(owner, alone=len(blocks) == len(members), causal=causal)
        chunks.append(Chunk(len(blocks), longest, None if seen is None else torch.from_numpy(seen).to(device)))
    gather = torch.from_numpy(np.concatenate(gathers)).to(device)
    straight = len(chunks) == 1 and len(gather) == len(place)  # a stable sort leaves equally long windows in order
    return Plan(tuple(chunks), gather, torch.from_numpy(place).to(device), straight, lengths, costs, causal)


def _seen(owner: NDArray[np.int64], *, alone: bool, causal: bool) -> NDArray[np.bool_] | None:
    """`Chunk.seen` of blocks [b, L] of window numbers, -1 on padding; `alone` where a block holds one window."""
    full = alone and bool((owner >= 0).all())
    if causal:
        before = np.tri(owner.shape[1], dtype=np.bool_)
        return before[None] if full else before & (owner[:, :, None] == owner[:, None, :])
    if alone:
        return None if full else (owner >= 0)[:, None]
    found: NDArray[np.bool_] = owner[:, :, None] == owner[:, None, :]
    return found


def _blocks(descending: NDArray[np.int64], costs: Costs) -> tuple[list[list[int]], int]:
    """Which windows, of lengths sorted downwards, go into which block, and how long the blocks are.

    Each goes into the first block that has room (Johnson 1973, first fit decreasing), unless one block a window is
    less work.
    """
    longest = int(descending[0])
    alone = [[index] for index in range(len(descending))]
    if costs.shared is None:
        return alone, longest
    side = -(-longest // _SIDE) * _SIDE
    blocks: list[list[int]] = []
    room: list[int] = []
    for index, length in enumerate(descending.tolist()):
        block = next((at for at, left in enumerate(room) if left >= length), len(blocks))
        if block == len(blocks):
            blocks.append([])
            room.append(side)
        blocks[block].append(index)
        room[block] -= length
    less = costs.together(len(blocks), side) < costs.alone(len(alone), longest)
    return (blocks, side) if less else (alone, longest)


def cut(descending: NDArray[np.int64], costs: Costs = ANSWERING) -> list[slice]:
    """At most `MAX_CHUNKS` neighbouring groups that cost least: scores, copies, and the calls that every chunk makes.

    The best borders are found by dynamic programming over the places where the length changes. Blocks that windows
    share are taken to be full.
    """
    borders = [0, *(np.flatnonzero(np.diff(descending)) + 1).tolist(), len(descending)]
    if len(borders) > _MAX_BORDERS:
        borders = sorted({borders[index * (len(borders) - 1) // _MAX_BORDERS] for index in range(_MAX_BORDERS + 1)})
    edges = np.asarray(borders)
    longest = descending[np.minimum(edges, len(descending) - 1)][:, None]
    area = costs.alone(edges[None, :] - edges[:, None], longest)
    if costs.shared is not None:
        upto = np.concatenate(([0], descending.cumsum()))[edges]
        side = -(-longest // _SIDE) * _SIDE
        area = np.minimum(area, costs.together(-(-(upto[None, :] - upto[:, None]) // side), side))
    cost = np.where(edges[None, :] > edges[:, None], area + costs.chunk, np.inf)
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
