"""Turning queries and keys by the positions of their rows.

Source: Su et al. 2021, RoFormer, in the form of Llama: numbers i and i + d / 2 of a head are a pair.

Shapes: N rows, d numbers of a head.
"""

import torch
from torch import Tensor

Turn = tuple[Tensor, Tensor]
"""Cosine and sine of every row's angles, [N, 1, d] each; the sine is negative in the first half"""


def turn_at(positions: Tensor, frequencies: Tensor, dtype: torch.dtype) -> Turn:
    """What rows at `positions` [N] are turned by, with `frequencies` [d / 2] in radians a position."""
    angles = positions.float()[:, None] * frequencies
    cosine, sine = angles.cos(), angles.sin()
    return torch.cat([cosine, cosine], 1)[:, None].to(dtype), torch.cat([-sine, sine], 1)[:, None].to(dtype)


def turned(x: Tensor, turn: Turn) -> Tensor:
    """[N, heads, d] with number i and i + d / 2 of each head as a pair that is turned by its angle."""
    cosine, sine = turn
    return x * cosine + _swapped(x) * sine


def turn_in_place(x: Tensor, turn: Turn) -> None:
    """The same without a gradient: on a processor memory that is new costs more than the arithmetic."""
    cosine, sine = turn
    swapped = _swapped(x)
    x.mul_(cosine).addcmul_(swapped, sine)


def _swapped(x: Tensor) -> Tensor:
    left, right = x.chunk(2, -1)
    return torch.cat([right, left], -1)
