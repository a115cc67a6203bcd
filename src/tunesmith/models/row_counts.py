"""How many rows oneDNN meets: few different counts.

For every count of rows that it meets, oneDNN builds a kernel and keeps it, half a megabyte each: a stream of batches of
any size would never stop to grow, and each new kernel takes time.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def rounded(rows: int) -> int:
    """`rows` with three binary digits behind the first, rounded up: at most an eighth more."""
    step = max(1, 1 << max(0, rows.bit_length() - 1) >> 3)
    return -(-rows // step) * step


def picked(x: Tensor, places: Tensor) -> Tensor:
    """The rows `places` [M] of [N, D], with rows of zeros behind them, [rounded M, D]."""
    return padded(x.index_select(0, places), rounded(len(places)))


def padded(x: Tensor, rows: int) -> Tensor:
    """[N, D] with rows of zeros behind it, [rows, D]."""
    return x if len(x) == rows else F.pad(x, (0, 0, 0, rows - len(x)))


def at(places: Tensor, x: Tensor) -> Tensor:
    """[N, D] to [M, D] at `places` [M], in training: where oneDNN multiplies, M is rounded up."""
    by_onednn = x.dtype == torch.bfloat16 and x.device.type == "cpu"
    return picked(x, places) if by_onednn else x.index_select(0, places)
