"""Turning queries and keys by the positions of their rows.

Source: Su et al. 2021, RoFormer, in the form of Llama: numbers i and i + d / 2 of a head are a pair.

Shapes: N rows, d numbers of a head.
"""

import torch
from torch import Tensor

Turn = tuple[Tensor, Tensor]
"""Cosine and sine of every row's angles, [N, 1, d] each"""


def turn_at(positions: Tensor, frequencies: Tensor, dtype: torch.dtype) -> Turn:
    """What rows at `positions` [N] are turned by, with `frequencies` [d / 2] in radians a position."""
    angles = positions.float()[:, None] * frequencies
    both = torch.cat([angles, angles], 1)[:, None]
    return both.cos().to(dtype), both.sin().to(dtype)


def turned(x: Tensor, turn: Turn) -> Tensor:
    """[N, heads, d] with number i and i + d / 2 of each head as a pair that is turned by its angle."""
    cosine, sine = turn
    left, right = x.chunk(2, -1)
    return x * cosine + torch.cat([-right, left], -1) * sine
