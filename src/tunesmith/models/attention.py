"""Self-attention over windows laid end to end: the only code that knows where a window ends.

    softmax(q k^T / sqrt(d)) v   inside each window

On a GPU one kernel takes the whole ragged batch (variable_length.py), except where it cannot be trusted with dropout;
there, and on a processor, windows are padded in chunks.
Short chunks run as plain batched matrix products with a hand-written backward: at 10 to 60 tokens that beats torch's
CPU flash kernel several times, whose backward is its weakness there. Its memory grows with L^2, so above a crossover
length torch's scaled_dot_product_attention takes over.
Source: Vaswani et al. 2017, Attention Is All You Need, section 3.2.

Shapes: N rows, b windows of a chunk, L the longest of them, H heads, d = D / H.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tunesmith.models.dropout import byte_threshold, draw_mask
from tunesmith.models.ragged import Chunk, Plan, plan, to_chunks, to_rows
from tunesmith.models.variable_length import Borders, attend_ragged, borders, drops, kernel_for

Layout = Plan | Borders
"""What attention has to know about a batch: how it is cut into chunks, or on a GPU only where its windows end."""
GPUS = frozenset(("cuda",))
"""Kinds of device that have the kernels of variable_length.py; torch calls AMD's "cuda" too."""
# Tokens of a chunk on a processor, each read off the table that benchmarks/training/crossover.py prints.
CROSSOVER = 512
"""Above it scaled_dot_product_attention takes over while something learns: with dropout it is slower than ours at every
length measured, and in bf16 its backward is; beyond, memory decides."""
CROSSOVER_ANSWERING = 28
"""The same where nothing learns: torch's kernel is good without a backward pass."""
CROSSOVER_ANSWERING_BF16 = 48
"""The same in bf16, where ours multiplies in fp32 up to it: products in bf16 keep a kernel for every shape they meet,
and a stream meets thousands."""
LOWEST_BF16 = 31
"""Up to it our core multiplies in fp32 although the model learns in bf16: so small products cost more to set up in bf16
than they save."""


class _Short(torch.autograd.Function):
    """softmax(q k^T * scale + bias) v with dropout on the weights, forward and backward by batched products."""

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, bias: Tensor | None, threshold: int) -> Tensor:  # noqa: ANN401  # torch's context has no type
        """qkv [3, b * H, L, d], bias [b * H, 1, L] or None -> [b * H, L, d]."""
        query, key, value = qkv.unbind(0)
        ctx.scale = query.shape[-1] ** -0.5
        with torch.autocast(qkv.device.type, enabled=False):
            weight = _weights(query, key, bias)
            keep = draw_mask(weight, threshold) if threshold else None
            ctx.rescale = 256 / (256 - threshold)
            dropped = weight if keep is None else (weight * keep).mul_(ctx.rescale)
            ctx.save_for_backward(qkv, weight, keep, None if keep is None else dropped)
            return torch.bmm(dropped, value)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401  # torch's context has no type
        qkv, weight, keep, dropped = ctx.saved_tensors
        (gradient,) = gradients
        query, key, value = qkv.unbind(0)
        out = torch.empty_like(qkv)
        with torch.autocast(qkv.device.type, enabled=False):
            torch.bmm((weight if dropped is None else dropped).transpose(1, 2), gradient, out=out[2])
            inner = torch.bmm(gradient, value.transpose(1, 2))
            if keep is not None:
                inner = inner.mul_(keep).mul_(ctx.rescale)
            inner = torch._softmax_backward_data(inner, weight, -1, weight.dtype).mul_(ctx.scale)
            torch.bmm(inner, key, out=out[0])
            torch.bmm(inner.transpose(1, 2), query, out=out[1])
        return out, None, None


def layout(lengths: Sequence[int], device: torch.device) -> Layout:
    """How attention on this device lays out windows with these `lengths` [B]."""
    return borders(lengths, device) if device.type in GPUS else plan(lengths, device)


def core_on(device: torch.device, dtype: torch.dtype, size: int, *, dropout: float) -> str:
    """What `attend` runs there for heads of `size` d, in a few words."""
    if device.type not in GPUS:
        return "padded in chunks"
    if dropout and not drops(dtype, size):
        return "padded in chunks, since no ragged kernel drops weights here"
    return f"{kernel_for(dtype, size)} kernel, no padding"


def attend(qkv: Tensor, layout: Layout, *, heads: int, dropout: float) -> Tensor:
    """[N, 3 D] (query, key and value side by side) to [N, D]. `dropout` applies to the attention weights."""
    if isinstance(layout, Borders):
        if not dropout or drops(qkv.dtype, qkv.shape[1] // (3 * heads)):
            return attend_ragged(qkv, layout, heads=heads, dropout=dropout)
        layout = plan(layout.lengths, qkv.device)
    blocks = [
        _chunk(block.view(chunk.windows, chunk.longest, 3, heads, -1), chunk, dropout)
        for block, chunk in zip(to_chunks(qkv, layout), layout.chunks, strict=True)
    ]
    return to_rows(blocks, layout)


def _chunk(qkv: Tensor, chunk: Chunk, dropout: float) -> Tensor:
    """[b, L, 3, H, d] to [b * L, D]."""
    windows, longest, _, heads, size = qkv.shape
    dtype = qkv.dtype
    qkv = qkv.permute(2, 0, 3, 1, 4)
    threshold = byte_threshold(dropout, qkv.device)
    learning = dropout > 0 or torch.is_grad_enabled()
    if qkv.device.type == "cpu" and longest <= _crossover(dtype, learning=learning) and (threshold or not dropout):
        inner = _inner(dtype, longest, learning=learning)
        bias = None if chunk.real is None else _bias(chunk.real, heads, inner)
        flat = _laid_out(qkv, inner).view(3, windows * heads, longest, size)
        mixed: Tensor
        if learning:
            mixed = _Short.apply(flat, bias, threshold)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        else:  # a short request feels what an autograd function costs
            mixed = torch.bmm(_weights(flat[0], flat[1], bias), flat[2])
        mixed = mixed.view(windows, heads, longest, size)
    else:
        mask = None if chunk.real is None else chunk.real[:, None, None, :]
        mixed = F.scaled_dot_product_attention(qkv[0], qkv[1], qkv[2], attn_mask=mask, dropout_p=dropout)
    return _laid_out(mixed.transpose(1, 2), dtype).view(windows * longest, heads * size)


def _crossover(dtype: torch.dtype, *, learning: bool) -> int:
    """Tokens of a chunk above which torch's own kernel is taken on a CPU."""
    if learning:
        return CROSSOVER
    return CROSSOVER_ANSWERING_BF16 if dtype == torch.bfloat16 else CROSSOVER_ANSWERING


def _inner(dtype: torch.dtype, longest: int, *, learning: bool) -> torch.dtype:
    """What our core multiplies in."""
    small = longest <= LOWEST_BF16 or not learning
    return torch.float32 if dtype == torch.bfloat16 and small else dtype


def _weights(query: Tensor, key: Tensor, bias: Tensor | None) -> Tensor:
    """softmax(q k^T / sqrt(d) + bias), [b * H, L, L]."""
    scale, keys = query.shape[-1] ** -0.5, key.transpose(1, 2)
    if bias is None:
        return torch.softmax(torch.bmm(query, keys).mul_(scale), -1)
    return torch.softmax(torch.baddbmm(bias, query, keys, alpha=scale), -1)


def _laid_out(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Contiguous and of a type, in one pass over the memory."""
    return x.contiguous() if x.dtype == dtype else x.to(dtype, memory_format=torch.contiguous_format)


def _bias(real: Tensor, heads: int, dtype: torch.dtype) -> Tensor:
    """[b * H, 1, L]: 0 on tokens, minus infinity on padding, so that padding gets weight 0 exactly."""
    bias = torch.zeros(real.shape, dtype=dtype, device=real.device).masked_fill_(~real, -torch.inf)
    return bias[:, None, None, :].expand(-1, heads, -1, -1).reshape(-1, 1, real.shape[1])
