"""Self-attention over windows laid end to end: the only code that knows where a window ends.

    softmax(q k^T / sqrt(d)) v   inside each window

On a GPU one kernel takes the whole ragged batch (variable_length.py), except where it cannot be trusted with dropout;
there, and on a processor, windows are padded in chunks, unless heads are shared and nothing has to learn: then each
window is a call of its own, which needs no copies of the shared heads.
Short chunks run as plain batched matrix products, in training with a hand-written backward for all chunks of a batch:
at 10 to 60 tokens that beats torch's CPU flash kernel several times, whose backward is its weakness there. Its memory
grows with L^2, so above a crossover length torch's scaled_dot_product_attention takes over.
Source: Vaswani et al. 2017, Attention Is All You Need, section 3.2.

Shapes: N rows, b blocks of a chunk, L rows of a block, H heads, d = D / H.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tunesmith.models.dropout import byte_threshold, draw_mask
from tunesmith.models.head_rows import by_chunk, clear_padding, heads_first, heads_last, join_heads, split_heads
from tunesmith.models.ragged import LEARNING, LEARNING_BF16, ON_GPU, Chunk, Plan, plan, to_chunks, to_rows
from tunesmith.models.variable_length import Borders, attend_ragged, borders, drops, kernel_for

Layout = Plan | Borders
"""What attention has to know about a batch: how it is cut into chunks, or on a GPU only where its windows end."""
GPUS = frozenset(("cuda",))
"""Kinds of device that have the kernels of variable_length.py; torch calls AMD's "cuda" too."""
# Tokens of a chunk on a processor, each read off the table that benchmarks/training/crossover.py prints.
CROSSOVER = 512
"""Where a chunk is longer, scaled_dot_product_attention takes over the batch while something learns: with dropout it is
slower than ours at every length measured, and in bf16 its backward is; beyond, memory decides."""
CROSSOVER_ANSWERING = 28
"""The same where nothing learns: torch's kernel is good without a backward pass."""
CROSSOVER_ANSWERING_BF16 = 48
"""The same in bf16, where ours multiplies in fp32 up to it: products in bf16 keep a kernel for every shape they meet,
and a stream meets thousands."""
LOWEST_BF16 = 31
"""Up to it our core multiplies in fp32 although the model learns in bf16: so small products cost more to set up in bf16
than they save."""


class _Short(torch.autograd.Function):
    """softmax(q k^T * scale + bias) v with dropout on the weights, forward and backward by batched products.

    The gradient from above is cleared on padding, which repeats a row and would pass on what belongs to that.
    """

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, layout: Plan, heads: int, threshold: int) -> Tensor:  # noqa: ANN401  # torch's context has no type
        """[N, 3 D] to [N, D]."""
        laid = split_heads(qkv, layout, heads, 3)
        mixed = laid.new_empty(1, *laid.shape[1:])
        ctx.layout, ctx.heads, ctx.rescale = layout, heads, 256 / (256 - threshold)
        kept: list[Tensor | None] = []
        with torch.autocast(qkv.device.type, enabled=False):
            for chunk, block, out in _each(layout, heads, laid, mixed):
                split = block.to(_inner(qkv.dtype, chunk.longest, learning=True))
                query, key, value = split.unbind(0)
                weight = torch.softmax(_scores(query, key, chunk.seen), -1)
                keep = draw_mask(weight, threshold) if threshold else None
                dropped = weight if keep is None else (weight * keep).mul_(ctx.rescale)
                _product(dropped, value, out[0])
                kept += split, weight, keep, None if keep is None else dropped
        ctx.save_for_backward(*kept)
        return join_heads(mixed, layout, heads)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:  # noqa: ANN401  # torch's context has no type
        layout, heads, kept = ctx.layout, ctx.heads, iter(ctx.saved_tensors)
        above = clear_padding(split_heads(gradients[0], layout, heads, 1), layout, heads)
        below = above.new_empty(3, *above.shape[1:])
        with torch.autocast(above.device.type, enabled=False):
            for _, block, out in _each(layout, heads, above, below):
                split, weight, keep, dropped = (next(kept) for _ in range(4))
                query, key, value = split.unbind(0)
                gradient = block[0].to(split.dtype)
                _product((weight if dropped is None else dropped).transpose(1, 2), gradient, out[2])
                inner = torch.bmm(gradient, value.transpose(1, 2))
                if keep is not None:
                    inner = inner.mul_(keep).mul_(ctx.rescale)
                inner = torch._softmax_backward_data(inner, weight, -1, weight.dtype).mul_(query.shape[-1] ** -0.5)
                _product(inner, key, out[0])
                _product(inner.transpose(1, 2), query, out[1])
        return join_heads(below, layout, heads), None, None, None


def _each(layout: Plan, heads: int, given: Tensor, out: Tensor) -> Iterator[tuple[Chunk, Tensor, Tensor]]:
    """Every chunk with its part of what is given and of what is to be filled, [parts, b * H, L, d] both."""
    return zip(layout.chunks, by_chunk(given, layout, heads), by_chunk(out, layout, heads), strict=True)


def _product(left: Tensor, right: Tensor, out: Tensor) -> None:
    """Batched matrix product into its place, whose type may be another."""
    if out.dtype == left.dtype:
        torch.bmm(left, right, out=out)
    else:
        out.copy_(torch.bmm(left, right))


class AttentionCore(nn.Module):
    """`attend` as a module without parameters: a place where a method may put something around it."""

    def forward(self, qkv: Tensor, layout: Layout, *, heads: int, dropout: float, groups: int = 1) -> Tensor:
        """[N, D + 2 D / groups] (query, key and value side by side) to [N, D].

        `groups` query heads share a head of keys and values (Ainslie et al. 2023, GQA).
        """
        if groups > 1:
            if layout.causal and qkv.device.type == "cpu" and not dropout and not torch.is_grad_enabled():
                return _window_by_window(qkv, layout.lengths, heads=heads, shared=heads // groups)
            width = qkv.shape[1] * groups // (groups + 2)
            query, key, value = torch.split(qkv, [width, width // groups, width // groups], 1)
            shared = (part.view(len(qkv), heads // groups, -1) for part in (key, value))
            qkv = torch.cat([query, *(part.repeat_interleave(groups, 1).flatten(1) for part in shared)], 1)
        return attend(qkv, layout, heads=heads, dropout=dropout)


def lengthened(layout: Layout, count: int) -> Layout:
    """The same windows with `count` more rows each."""
    lengths = tuple(length + count for length in layout.lengths)
    if isinstance(layout, Borders):
        return borders(lengths, layout.offsets.device, causal=layout.causal)
    return plan(lengths, layout.gather.device, layout.costs, causal=layout.causal)


def layout(lengths: Sequence[int], x: Tensor, *, learning: bool, causal: bool = False) -> Layout:
    """How attention lays out windows with these `lengths` [B], whose rows are in `x` [N, D].

    With `causal` a row sees only what stands before it in its window, and itself.
    """
    if x.device.type in GPUS:
        return borders(lengths, x.device, causal=causal)
    if not learning:
        return plan(lengths, x.device, causal=causal)
    return plan(lengths, x.device, LEARNING_BF16 if x.dtype == torch.bfloat16 else LEARNING, causal=causal)


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
        layout = plan(layout.lengths, qkv.device, ON_GPU, causal=layout.causal)
    learning = dropout > 0 or torch.is_grad_enabled()
    if learning and qkv.device.type == "cpu" and max(chunk.longest for chunk in layout.chunks) <= CROSSOVER:
        threshold = byte_threshold(dropout, qkv.device)
        if threshold or not dropout:
            mixed: Tensor = _Short.apply(qkv, layout, heads, threshold)  # type: ignore[no-untyped-call]  # torch leaves it untyped
            return mixed
    blocks = zip(to_chunks(qkv, layout), layout.chunks, strict=True)
    return to_rows([_chunk(block, chunk, heads, dropout, learning=learning) for block, chunk in blocks], layout)


def _window_by_window(qkv: Tensor, lengths: Sequence[int], *, heads: int, shared: int) -> Tensor:
    """[N, (H + 2 K) d] to [N, H d] where nothing has to learn: K `shared` heads need not be repeated for chunks."""
    by_head = qkv.view(len(qkv), heads + 2 * shared, -1)
    mixed = []
    for rows in torch.split(by_head, list(lengths)):
        query, key, value = torch.split(rows.transpose(0, 1)[None], [heads, shared, shared], 1)
        mixed.append(F.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)[0])
    return torch.cat([window.transpose(0, 1) for window in mixed]).flatten(1)


def _chunk(rows: Tensor, chunk: Chunk, heads: int, dropout: float, *, learning: bool) -> Tensor:
    """[b * L, 3 D] to [b * L, D]."""
    if rows.device.type == "cpu" and not learning:
        crossover = CROSSOVER_ANSWERING_BF16 if rows.dtype == torch.bfloat16 else CROSSOVER_ANSWERING
        if chunk.longest <= crossover:
            query, key, value = heads_first(rows, chunk, heads, 3, _inner(rows.dtype, chunk.longest, learning=False))
            mixed = torch.bmm(torch.softmax(_scores(query, key, chunk.seen), -1), value)
            return heads_last(mixed[None], chunk, heads, rows.dtype)
    split = rows.view(chunk.blocks, chunk.longest, 3, heads, -1).permute(2, 0, 3, 1, 4)
    mask = None if chunk.seen is None else chunk.seen[:, None]
    mixed = F.scaled_dot_product_attention(split[0], split[1], split[2], attn_mask=mask, dropout_p=dropout)
    return mixed.transpose(1, 2).reshape(chunk.rows, -1)


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
