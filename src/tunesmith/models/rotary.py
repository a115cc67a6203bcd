"""Turning queries and keys by the positions of their rows.

Source: Su et al. 2021, RoFormer, in the form of Llama: numbers i and i + d / 2 of a head are a pair.

Shapes: N rows, d numbers of a head.
"""

from typing import Any

import torch
from torch import Tensor

Turn = tuple[Tensor, Tensor]
"""Cosine and sine of every row's angles, [N, 1, d] each; the sine is negative in the first half"""


def turn_at(positions: Tensor, frequencies: Tensor, dtype: torch.dtype) -> Turn:
    """What rows at `positions` [N] are turned by, with `frequencies` [d / 2] in radians a position."""
    angles = positions.float()[:, None] * frequencies
    cosine, sine = angles.cos(), angles.sin()
    return torch.cat([cosine, cosine], 1)[:, None].to(dtype), torch.cat([-sine, sine], 1)[:, None].to(dtype)


def turned(qkv: Tensor, turn: Turn, *, heads: int) -> Tensor:
    """[N, (H + 2 K) d] whose first `heads` heads are turned; `qkv` itself is changed and must not be read again.

    Number i and i + d / 2 of a head are a pair that is turned by the angle of its row. The way back turns the gradient
    the other way round, so nothing has to be kept but the angles.
    """
    if not torch.is_grad_enabled():
        turn_in_place(_by_head(qkv, turn, heads), turn)
        return qkv
    result: Tensor = _Turned.apply(qkv, *turn, heads)  # type: ignore[no-untyped-call]  # torch leaves apply untyped
    return result


def turn_in_place(x: Tensor, turn: Turn) -> None:
    """Turn every head of `x` [N, heads, d]: on a processor memory that is new costs more than the arithmetic."""
    cosine, sine = turn
    swapped = _swapped(x)
    x.mul_(cosine).addcmul_(swapped, sine)


class _Turned(torch.autograd.Function):
    """In place, and back by the opposite angles."""

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, cosine: Tensor, sine: Tensor, heads: int) -> Tensor:  # noqa: ANN401  # torch's context has no type
        """Turned."""
        ctx.save_for_backward(cosine, sine)
        ctx.heads = heads
        ctx.mark_dirty(qkv)
        turn_in_place(_by_head(qkv, (cosine, sine), heads), (cosine, sine))
        return qkv

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401  # torch's context has no type
        """Turned back."""
        cosine, sine = ctx.saved_tensors
        back = (cosine, -sine)
        found = gradients[0].clone(memory_format=torch.contiguous_format)  # it may be somebody else's as well
        turn_in_place(_by_head(found, back, ctx.heads), back)
        return found, None, None, None


def _by_head(qkv: Tensor, turn: Turn, heads: int) -> Tensor:
    size = turn[0].shape[-1]
    return qkv[:, : heads * size].view(len(qkv), heads, size)


def _swapped(x: Tensor) -> Tensor:
    left, right = x.chunk(2, -1)
    return torch.cat([right, left], -1)
