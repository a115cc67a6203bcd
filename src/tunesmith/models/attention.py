"""Self-attention over windows laid end to end: the only code that knows where a window ends.

    softmax(q k^T / sqrt(d)) v   inside each window

On a GPU one kernel takes the whole ragged batch (variable_length.py), except where it cannot be trusted with dropout;
there, and on a processor, windows are padded in chunks.
Short chunks run as plain batched matrix products with a hand-written backward: at 10 to 60 tokens that beats torch's
CPU flash kernel several times, whose backward is its weakness there. Its memory grows with L^2, so above a crossover
length torch's scaled_dot_product_attention takes over.
Source: Vaswani et al. 2017, Attention Is All You Need, section 3.2.

Shapes: N rows, b blocks of a chunk, L rows of a block, H heads, d = D / H.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tunesmith.models.dropout import byte_threshold, draw_mask
from tunesmith.models.ragged import LEARNING, LEARNING_BF16, ON_GPU, Chunk, Plan, plan, to_chunks, to_rows
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
    def forward(ctx: Any, rows: Tensor, chunk: Chunk, heads: int, inner: torch.dtype, threshold: int) -> Tensor:  # noqa: ANN401  # torch's context has no type
        """[b * L, 3 D] to [b * L, D], multiplied in `inner`."""
        qkv = _by_head(rows, chunk, heads, 3, inner)
        query, key, value = qkv.unbind(0)
        with torch.autocast(rows.device.type, enabled=False):
            weight = torch.softmax(_scores(query, key, chunk.seen), -1)
            keep = draw_mask(weight, threshold) if threshold else None
            ctx.rescale = 256 / (256 - threshold)
            dropped = weight if keep is None else (weight * keep).mul_(ctx.rescale)
            mixed = torch.bmm(dropped, value)
        ctx.chunk, ctx.heads = chunk, heads
        ctx.save_for_backward(qkv, weight, keep, None if keep is None else dropped)
        return _by_row(mixed[None], chunk, heads, rows.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None, None]:  # noqa: ANN401  # torch's context has no type
        qkv, weight, keep, dropped = ctx.saved_tensors
        query, key, value = qkv.unbind(0)
        gradient = _by_head(gradients[0], ctx.chunk, ctx.heads, 1, qkv.dtype)[0]
        out = torch.empty_like(qkv)
        with torch.autocast(qkv.device.type, enabled=False):
            torch.bmm((weight if dropped is None else dropped).transpose(1, 2), gradient, out=out[2])
            inner = torch.bmm(gradient, value.transpose(1, 2))
            if keep is not None:
                inner = inner.mul_(keep).mul_(ctx.rescale)
            inner = torch._softmax_backward_data(inner, weight, -1, weight.dtype).mul_(query.shape[-1] ** -0.5)
            torch.bmm(inner, key, out=out[0])
            torch.bmm(inner.transpose(1, 2), query, out=out[1])
        return _by_row(out, ctx.chunk, ctx.heads, gradients[0].dtype), None, None, None, None


def _by_head(rows: Tensor, chunk: Chunk, heads: int, parts: int, dtype: torch.dtype) -> Tensor:
    """[b * L, parts * D] to [parts, b * H, L, d], contiguous."""
    split = rows.view(chunk.blocks, chunk.longest, parts, heads, -1).permute(2, 0, 3, 1, 4)
    return _laid_out(split, dtype).view(parts, chunk.blocks * heads, chunk.longest, -1)


def _by_row(split: Tensor, chunk: Chunk, heads: int, dtype: torch.dtype) -> Tensor:
    """[parts, b * H, L, d] to [b * L, parts * D], contiguous."""
    rows = split.view(len(split), chunk.blocks, heads, chunk.longest, -1).permute(1, 3, 0, 2, 4)
    return _laid_out(rows, dtype).view(chunk.rows, -1)


def layout(lengths: Sequence[int], x: Tensor, *, learning: bool) -> Layout:
    """How attention lays out windows with these `lengths` [B], whose rows are in `x` [N, D]."""
    if x.device.type in GPUS:
        return borders(lengths, x.device)
    if not learning:
        return plan(lengths, x.device)
    return plan(lengths, x.device, LEARNING_BF16 if x.dtype == torch.bfloat16 else LEARNING)


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
        layout = plan(layout.lengths, qkv.device, ON_GPU)
    blocks = [
        _chunk(block, chunk, heads, dropout) for block, chunk in zip(to_chunks(qkv, layout), layout.chunks, strict=True)
    ]
    return to_rows(blocks, layout)


def _chunk(rows: Tensor, chunk: Chunk, heads: int, dropout: float) -> Tensor:
    """[b * L, 3 D] to [b * L, D]."""
    dtype, longest = rows.dtype, chunk.longest
    threshold = byte_threshold(dropout, rows.device)
    learning = dropout > 0 or torch.is_grad_enabled()
    if rows.device.type == "cpu" and longest <= _crossover(dtype, learning=learning) and (threshold or not dropout):
        inner = _inner(dtype, longest, learning=learning)
        if learning:
            mixed: Tensor = _Short.apply(rows, chunk, heads, inner, threshold)  # type: ignore[no-untyped-call]  # torch leaves it untyped
            return mixed
        query, key, value = _by_head(rows, chunk, heads, 3, inner)  # a short request feels what a function costs
        return _by_row(torch.bmm(torch.softmax(_scores(query, key, chunk.seen), -1), value)[None], chunk, heads, dtype)
    split = rows.view(chunk.blocks, longest, 3, heads, -1).permute(2, 0, 3, 1, 4)
    mask = None if chunk.seen is None else chunk.seen[:, None]
    mixed = F.scaled_dot_product_attention(split[0], split[1], split[2], attn_mask=mask, dropout_p=dropout)
    return _laid_out(mixed.transpose(1, 2), dtype).view(chunk.rows, -1)


def _crossover(dtype: torch.dtype, *, learning: bool) -> int:
    """Tokens of a chunk above which torch's own kernel is taken on a CPU."""
    if learning:
        return CROSSOVER
    return CROSSOVER_ANSWERING_BF16 if dtype == torch.bfloat16 else CROSSOVER_ANSWERING


def _inner(dtype: torch.dtype, longest: int, *, learning: bool) -> torch.dtype:
    """What our core multiplies in."""
    small = longest <= LOWEST_BF16 or not learning
    return torch.float32 if dtype == torch.bfloat16 and small else dtype


def _scores(query: Tensor, key: Tensor, seen: Tensor | None) -> Tensor:
    """q k^T / sqrt(d), [b * H, L, L], and minus infinity for what is not seen, so that it gets weight 0 exactly."""
    scale = query.shape[-1] ** -0.5
    scores = torch.bmm(query, key.transpose(1, 2))
    if seen is None:
        return scores.mul_(scale)
    bias = torch.zeros(seen.shape, dtype=scores.dtype, device=seen.device).masked_fill_(~seen, -torch.inf)
    by_block = scores.view(len(seen), -1, *scores.shape[1:])  # [b, H, L, L]
    torch.add(bias[:, None], by_block, alpha=scale, out=by_block)
    return scores


def _laid_out(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Contiguous and of a type, in one pass over the memory."""
    return x.contiguous() if x.dtype == dtype else x.to(dtype, memory_format=torch.contiguous_format)
