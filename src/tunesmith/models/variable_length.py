"""Attention on a GPU: one call for a whole ragged batch, with no padded row.

    softmax(q k^T / sqrt(d)) v   inside each window, whose borders the kernel is told

The calls are the two kernels that torch's own `varlen_attn` and nested tensors stand on. We make them ourselves:
`varlen_attn` has no dropout and no fp32, and a nested tensor costs more time in Python than a short batch on a GPU.
Naming the kernel also means that torch raises where it cannot run, instead of taking a slower way in silence.

The memory-efficient kernel is never asked for dropout: over ragged batches it drops other weights in its backward than
in its forward (seen with torch 2.11: masks that agree by chance alone, and runs that unlearn what they had learnt).
Sources: Dao 2023, FlashAttention-2; Rabe and Staats 2021, Self-attention Does Not Need O(n^2) Memory.

Shapes: B windows, N rows, H heads, d = D / H.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

Kernel = Literal["flash", "efficient"]
LARGEST_FLASH = 128
"""Numbers of a head above which not every GPU has a backward flash kernel with dropout."""
_ALIGNMENT = 8
"""Both kernels read heads in pieces of 16 bytes."""


@dataclass(frozen=True, slots=True)
class Borders:
    """Where windows begin and end."""

    lengths: tuple[int, ...]
    """[B]"""
    offsets: Tensor
    """[B + 1] int32 on the device, from 0 to N"""
    causal: bool
    """Whether a row sees only what stands before it, and itself"""

    @property
    def longest(self) -> int:
        """Rows of the longest window."""
        return max(self.lengths)


def borders(lengths: Sequence[int], device: torch.device, *, causal: bool = False) -> Borders:
    """The borders of windows with these `lengths` [B]; with `causal` a row sees what stands before it, and itself."""
    return _borders(tuple(lengths), device, causal)


@lru_cache(maxsize=16)  # asked again as often as a plan of chunks is, see ragged.py
@torch.inference_mode(False)
def _borders(lengths: tuple[int, ...], device: torch.device, causal: bool) -> Borders:
    offsets = torch.from_numpy(np.cumsum((0, *lengths), dtype=np.int32))
    return Borders(lengths, offsets.to(device, non_blocking=device.type == "cuda"), causal)


def kernel_for(dtype: torch.dtype, size: int) -> Kernel:
    """Flash attention for 16-bit heads of usual `size` d; it takes no fp32, which the memory-efficient kernel does."""
    half = dtype in (torch.bfloat16, torch.float16)
    return "flash" if half and size <= LARGEST_FLASH else "efficient"


def drops(dtype: torch.dtype, size: int) -> bool:
    """Whether the kernel for heads of `size` d can be trusted with dropout."""
    return kernel_for(dtype, size) == "flash"


def attend_ragged(qkv: Tensor, borders: Borders, *, heads: int, dropout: float) -> Tensor:
    """[N, 3 D] (query, key and value side by side) to [N, D]. `dropout` applies to the attention weights.

    Raises:
        RuntimeError: this GPU, or this build of torch, has no such kernel for the type of `qkv`.
        ValueError: dropout is asked of the kernel that cannot be trusted with it.
    """
    split = qkv.view(len(qkv), 3, heads, -1)
    size = split.shape[-1]
    if gap := -size % _ALIGNMENT:
        split = F.pad(split, (0, gap))  # zeros change no product, and their own outputs are cut off below
    query, key, value = split.unbind(1)
    if kernel_for(qkv.dtype, size) == "flash":
        mixed = _flash(query, key, value, borders, dropout, size**-0.5)
    elif dropout:
        raise ValueError("torch's memory-efficient attention drops other weights backward than forward")
    else:
        mixed = _efficient(query, key, value, borders, size**-0.5)
    return mixed[..., :size].reshape(len(qkv), heads * size)


def _flash(query: Tensor, key: Tensor, value: Tensor, borders: Borders, dropout: float, scale: float) -> Tensor:
    """Each [N, H, d]."""
    offsets, longest = borders.offsets, borders.longest
    debug = False
    mixed: Tensor = torch.ops.aten._flash_attention_forward(
        query, key, value, offsets, offsets, longest, longest, dropout, borders.causal, debug, scale=scale
    )[0]
    return mixed


def _efficient(query: Tensor, key: Tensor, value: Tensor, borders: Borders, scale: float) -> Tensor:
    """Each [N, H, d]."""
    offsets, longest = borders.offsets, borders.longest
    mixed: Tensor = torch.ops.aten._efficient_attention_forward(
        query[None],
        key[None],
        value[None],
        None,  # no bias
        offsets,
        offsets,
        longest,
        longest,
        0.0,  # no dropout
        int(borders.causal),  # 0: no mask beyond the borders; 1: what follows a row is hidden from it
        torch.is_grad_enabled(),  # whether to keep what the backward needs
        scale=scale,
    )[0]
    return mixed[0]
