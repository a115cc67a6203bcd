"""Keys and values of texts that grow in lockstep, and attention of their newest rows.

    softmax(q k^T / sqrt(d)) v   of one row a text, over all rows of that text so far

Texts of similar length are a group. Its texts are laid flush right: the newest rows of all of them lie in one column,
so that a step writes one slice and scatters nothing. Shorter texts have a gap in front, which stays as wide as it is,
since all grow by one. Heads that share keys and values are rows of one product, and nothing is repeated for them.

Shapes: B texts, b of them in a group, N rows of all prompts, K heads of keys and values, G queries of each, d size of
a head, H = K G.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

import torch
from torch import Tensor

BLOCK = 64
"""Rows by which a full cache grows: copying it costs a 64th of reading it at every step."""
_GAP_BYTES = 2_000_000
"""Bytes of keys and values a layer that the gaps of a group may take: to read as much takes about as long as the calls
of one group more, which find nothing of theirs in the processor's caches, since all weights went through in between."""


@dataclass(slots=True, eq=False)
class _Group:
    begin: int
    """which text is its first"""
    count: int
    """b"""
    filled: int
    """rows of its longest text so far"""
    prompts: list[tuple[int, int]]
    """the first row of each prompt, and the one behind its last"""
    bias: Tensor
    """[b * K, 1, capacity]: minus infinity on gaps, else 0"""
    layers: list[Tensor] = field(default_factory=list)
    """keys and values of every layer, [2, b * K, capacity, d]"""

    @property
    def end(self) -> int:
        return self.begin + self.count


class KeyValueCache:
    """The cache of all layers."""

    def __init__(self, lengths: Sequence[int], *, heads: int, size: int, prefix: int, like: Tensor) -> None:
        """For prompts of `lengths` [B] rows, with K `heads` of `size` d, on the device of `like` and of its type.

        The first `prefix` rows that `fill` is given stand before every text. On a processor keys and values are kept
        in fp32: its products in bf16 keep a kernel for every shape they meet, and here the shape changes at each step.
        """
        self._heads, self._size = heads, size
        self._dtype = torch.float32 if like.device.type == "cpu" else like.dtype
        rows = list(pairwise(accumulate(lengths, initial=0)))
        gaps = _GAP_BYTES // (2 * heads * size * self._dtype.itemsize)
        self._groups = [
            self._group(begin, rows[begin:end], prefix, like.device) for begin, end in grouped(lengths, gaps)
        ]

    def fill(self, rows: Tensor, prefix: Tensor) -> None:
        """Keys and values of the next layer: those of all prompts [N, 2, K, d], and of a prefix [prefix, 2, K, d]."""
        ahead = len(prefix)
        for group in self._groups:
            # gaps are read as well: what is not a number there would spread
            cache = rows.new_zeros((2, group.count, self._heads, group.bias.shape[2], self._size), dtype=self._dtype)
            for text, (begin, end) in zip(cache.unbind(1), group.prompts, strict=True):
                first = group.filled - (end - begin)
                text[:, :, first : group.filled].copy_(rows[begin:end].permute(1, 2, 0, 3))
                if ahead:
                    text[:, :, first - ahead : first].copy_(prefix.permute(1, 2, 0, 3))
            group.layers.append(cache.flatten(1, 2))

    def attend(self, layer: int, query: Tensor, key_value: Tensor) -> Tensor:
        """[B, H, d] and the rows' own keys and values [B, 2, K, d] to [B, H d], after `advance`."""
        mixed = [
            self._attend(group, layer, query[group.begin : group.end], key_value[group.begin : group.end])
            for group in self._groups
        ]
        return (mixed[0] if len(mixed) == 1 else torch.cat(mixed)).to(query.dtype)

    def advance(self) -> None:
        """Make room for one row more in every text."""
        for group in self._groups:
            if group.filled == group.bias.shape[2]:
                group.layers = [torch.nn.functional.pad(layer, (0, 0, 0, BLOCK)) for layer in group.layers]
                group.bias = torch.nn.functional.pad(group.bias, (0, BLOCK))
            group.filled += 1

    def reorder(self, rows: Tensor) -> None:
        """Keep the texts `rows` [B'], in this order and as often as they are named; groups follow each other as before.

        Raises:
            ValueError: a text would have to go past one of another group.
        """
        wanted = rows.tolist()
        kept, begin = [], 0
        for group in self._groups:
            own = [row - group.begin for row in wanted if group.begin <= row < group.end]
            if wanted[begin : begin + len(own)] != [row + group.begin for row in own]:
                raise ValueError("texts of different prompts cannot change places")
            if own:
                self._pick(group, own)
                group.begin = begin
                kept.append(group)
                begin += len(own)
        self._groups = kept

    def _attend(self, group: _Group, layer: int, query: Tensor, key_value: Tensor) -> Tensor:
        heads, size, filled, cache = self._heads, self._size, group.filled, group.layers[layer]
        cache.view(2, group.count, heads, -1, size)[:, :, :, filled - 1].copy_(key_value.transpose(0, 1))
        keys, values = cache.narrow(2, 0, filled).unbind(0)
        by_head = query.to(self._dtype).reshape(group.count * heads, -1, size)
        bias = group.bias.narrow(2, 0, filled)
        weight = torch.softmax(torch.baddbmm(bias, by_head, keys.transpose(1, 2), alpha=size**-0.5), -1)
        return torch.bmm(weight, values).view(group.count, -1)

    def _pick(self, group: _Group, texts: list[int]) -> None:
        """Keep `texts` of a group. Where their number stays, only those are copied that move."""
        device, heads = group.bias.device, self._heads
        if len(texts) == group.count:
            moving = [at for at, text in enumerate(texts) if at != text]
            if moving:
                to, source = _blocks(moving, heads, device), _blocks([texts[at] for at in moving], heads, device)
                for layer in group.layers:
                    layer[:, to, : group.filled] = layer[:, source, : group.filled]
                group.bias[to] = group.bias[source]
            return
        source = _blocks(texts, heads, device)
        group.layers = [layer.index_select(1, source) for layer in group.layers]
        group.bias = group.bias.index_select(0, source)
        group.count = len(texts)

    def _group(self, begin: int, prompts: list[tuple[int, int]], prefix: int, device: torch.device) -> _Group:
        lengths = [end - start for start, end in prompts]
        longest = max(lengths)
        bias = torch.zeros(len(prompts), 1, prefix + longest + BLOCK, dtype=self._dtype)
        for row, length in zip(bias, lengths, strict=True):
            row[:, : longest - length] = -torch.inf
        return _Group(
            begin=begin,
            count=len(prompts),
            filled=prefix + longest,
            prompts=prompts,
            bias=bias.repeat_interleave(self._heads, 0).to(device),
        )


def grouped(lengths: Sequence[int], gaps: int) -> list[tuple[int, int]]:
    """First text and the one behind the last, of groups that follow each other and leave at most `gaps` rows empty."""
    found, begin = [], 0
    for end in range(1, len(lengths) + 1):
        if max(lengths[begin:end]) * (end - begin) - sum(lengths[begin:end]) > gaps:
            found.append((begin, end - 1))
            begin = end - 1
    return [*found, (begin, len(lengths))]


def _blocks(texts: Sequence[int], heads: int, device: torch.device) -> Tensor:
    """[b * K] of the heads of `texts` [b]."""
    return (torch.tensor(texts, device=device)[:, None] * heads + torch.arange(heads, device=device)).flatten()
