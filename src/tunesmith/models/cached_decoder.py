"""The form a decoder has while it writes: what a row left in attention is kept, and a step computes one row a text.

The mathematics is that of `decoder.py`. Prompts are read as rows laid end to end, without padding; their keys, turned
by their positions, and their values go into a cache (`key_value_cache.py`), and only the last row of each goes on
behind the last attention. Weights are laid out once for the processor: query, key and value as one product.

What methods leave in a decoder has its place here: low-rank and scaled weights are merged; a prefix is keys and values
before every text; rows of a soft prompt are read before the prompt; bottlenecks follow their product.

Shapes: B texts, N rows of all prompts, D width, H heads of size d, K of them for keys and values.
"""

import copy
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tunesmith.core.errors import ConfigError, Place
from tunesmith.models.additions import PrefixedCore
from tunesmith.models.attention import AttentionCore, Layout, layout
from tunesmith.models.decoder import Decoder, DecoderFeedForward, DecoderLayer
from tunesmith.models.incremental import IncrementalModel, IncrementalState, prompt_batch
from tunesmith.models.inserted_rows import behind, insert
from tunesmith.models.key_value_cache import KeyValueCache
from tunesmith.models.packed import PackedLinear
from tunesmith.models.rotary import Turn, turn_at, turn_in_place
from tunesmith.models.row_counts import padded, picked, rounded
from tunesmith.models.sublayer import Sublayer, linear
from tunesmith.models.surgery import plain


class CachedDecoder(IncrementalModel):
    """A `Decoder` that writes. It shares the tables of words and positions; let go of the decoder's other weights."""

    def __init__(self, decoder: Decoder, *, dtype: torch.dtype = torch.float32) -> None:
        """`decoder` is left as it is; what a method put around its weights is merged here.

        Raises:
            ConfigError: the decoder holds something that has no such form.
        """
        shape = decoder.shape
        self._dtype = dtype
        self._begin = int(decoder.prompt.begin)
        with torch.no_grad():
            prompt: Tensor | None = decoder.prompt()
        self._prompt = None if prompt is None else prompt.detach().to(dtype)
        self._words = _table(decoder.words, dtype)
        self._positions = None if decoder.positions is None else _table(decoder.positions, dtype)
        rotary, device = shape.rotary, self._words.device
        self._frequencies = None if rotary is None else rotary.frequencies(shape.head_size).to(device)
        self.layers = [_Layer(layer, dtype) for layer in decoder.layers if isinstance(layer, DecoderLayer)]
        self.norm = _Norm(decoder.norm, dtype)
        rows = 0 if self._prompt is None else len(self._prompt)
        self.max_length = decoder.max_length - self._begin - rows

    @torch.inference_mode()
    def prefill(self, prompts: Sequence[Sequence[int]]) -> tuple[IncrementalState, Tensor]:
        """A cache of `prompts` [B], and the hidden states [B, D] of their last tokens."""
        batch = prompt_batch(prompts).to(self._words.device)
        x, places = self._words.index_select(0, batch.input_ids), batch.places
        if self._prompt is not None:
            x, _ = insert(x, self._prompt, batch.lengths)
            batch, kept = behind(batch, len(self._prompt))
            places = kept[places]
        x, turn = self.placed(x, batch.positions)
        windows = layout(batch.lengths, x, learning=False, causal=True)
        first, rows = self.layers[0], len(x)
        cache = KeyValueCache(
            batch.lengths, heads=first.shared, size=first.size, prefix=len(first.prefix), like=first.prefix
        )
        x = padded(x, rounded(rows))
        for layer in self.layers:
            x = layer.read(x, turn, windows, cache=cache, places=places if layer is self.layers[-1] else None)
        lengths = [length - 1 for length in batch.lengths]
        state = _State(self, cache, torch.tensor(lengths, device=x.device))
        return state, self.norm.whole(x[: len(places)])

    def placed(self, x: Tensor, positions: Tensor) -> tuple[Tensor, Turn | None]:
        """Word rows [N, D] with what their positions [N] add, and what they turn heads by."""
        at = positions + self._begin
        if self._positions is not None:
            # a text that has ended may go on beside the others, beyond the table: nobody looks at what it reads
            x = x + self._positions.index_select(0, at.clamp(max=len(self._positions) - 1))
        return x, None if self._frequencies is None else turn_at(at, self._frequencies, self._dtype)

    def words(self, tokens: Tensor) -> Tensor:
        """[B] to [B, D]."""
        return self._words.index_select(0, tokens)


class _State(IncrementalState):
    """A cache, and where the newest row of every text stands."""

    def __init__(self, model: CachedDecoder, cache: KeyValueCache, positions: Tensor) -> None:
        self._model, self._cache, self._positions = model, cache, positions

    @torch.inference_mode()
    def step(self, tokens: Tensor) -> Tensor:
        self._positions = self._positions + 1
        self._cache.advance()
        x, turn = self._model.placed(self._model.words(tokens), self._positions)
        for index, layer in enumerate(self._model.layers):
            x = layer.step(x, turn, index, self._cache)
        return self._model.norm.whole(x)

    @torch.inference_mode()
    def reorder(self, rows: Tensor) -> None:
        self._cache.reorder(rows)
        self._positions = self._positions.index_select(0, rows.to(self._positions.device))


class _Layer:
    """Products: query, key and value as one; the attention's output; gate and up; down."""

    def __init__(self, trained: DecoderLayer, dtype: torch.dtype) -> None:
        attention = trained.attention
        parts = [linear(part) for part in (attention.query, attention.key, attention.value)]
        biases: list[Tensor] = [part.bias for part in parts if part.bias is not None]
        bias = torch.cat(biases) if biases else None
        self.heads, self.shared = attention.heads, attention.heads // attention.groups
        self.size = len(parts[0].weight) // self.heads
        self._attention_norm = _Norm(trained.attention_norm, dtype)
        weight = torch.cat([part.weight.detach() for part in parts])
        self._qkv = PackedLinear(self._attention_norm.folded(weight), bias, dtype=dtype)
        core = plain(attention.core)
        self.prefix = _prefix(core, parts[1].weight).to(dtype)
        """[P, 2 K d]: keys and values that stand before every text."""
        self._head_norms = [
            (_Norm(norm, dtype), heads)
            for norm, heads in (
                (attention.query_norm, slice(self.heads)),
                (attention.key_norm, slice(self.heads, self.heads + self.shared)),
            )
            if norm is not None
        ]
        self._core = copy.deepcopy(core).to(dtype)
        self._output = Sublayer(attention.output, dtype)
        self._feed_forward_norm = _Norm(trained.feed_forward_norm, dtype)
        self._feed_forward = _FeedForward(trained.feed_forward, self._feed_forward_norm, dtype)

    def read(
        self, x: Tensor, turn: Turn | None, windows: Layout, *, cache: KeyValueCache, places: Tensor | None
    ) -> Tensor:
        """[rounded N, D] to the same, or to [rounded B, D] at `places` [B]; the cache is filled for this layer."""
        rows = sum(windows.lengths)
        by_head = self._by_head(x, turn, rows)
        own, prefix = (
            part.view(len(part), 2, self.shared, self.size) for part in (by_head[:, self.heads :], self.prefix)
        )
        cache.fill(own, prefix)
        mixed: Tensor = self._core(
            by_head.flatten(1), windows, heads=self.heads, dropout=0.0, groups=self.heads // self.shared
        )
        if places is None:
            return self._rest(padded(mixed, len(x)), x)
        return self._rest(picked(mixed, places), picked(x, places))

    def step(self, x: Tensor, turn: Turn | None, index: int, cache: KeyValueCache) -> Tensor:
        """[B, D] to the same, as layer `index` of `cache`."""
        by_head = self._by_head(x, turn, len(x))
        own = by_head[:, self.heads :].view(len(x), 2, self.shared, self.size)
        return self._rest(cache.attend(index, by_head[:, : self.heads], own), x)

    def _by_head(self, x: Tensor, turn: Turn | None, rows: int) -> Tensor:
        """Query, key and value of the first `rows`, [rows, H + 2 K, d], turned."""
        by_head = self._qkv(self._attention_norm(x))[:rows].view(rows, -1, self.size)
        for norm, heads in self._head_norms:
            by_head[:, heads] = norm.whole(by_head[:, heads])
        if turn is not None:
            turn_in_place(by_head[:, : self.heads + self.shared], turn)
        return by_head

    def _rest(self, mixed: Tensor, x: Tensor) -> Tensor:
        x = self._output.added(mixed, x)
        return self._feed_forward.added(self._feed_forward_norm(x), x)


class _FeedForward:
    def __init__(self, trained: DecoderFeedForward, norm: "_Norm", dtype: torch.dtype) -> None:
        self._activation = trained.activation
        first, up = trained.gate, linear(trained.up)
        self._up = PackedLinear(norm.folded(up.weight), up.bias, dtype=dtype)
        gate = None if first is None else linear(first)
        self._gate = None if gate is None else PackedLinear(norm.folded(gate.weight), gate.bias, dtype=dtype)
        self._down = Sublayer(trained.down, dtype)

    def added(self, x: Tensor, residual: Tensor) -> Tensor:
        """[N, D] to [N, D], on top of `residual`."""
        if self._gate is None:
            return self._down.added(self._up.activated(x, self._activation), residual)
        return self._down.added(self._up.multiplied(x, self._gate.activated(x, self._activation)), residual)


class _Norm:
    """LayerNorm, or RMSNorm as x / |x| but for epsilon, whose factors go into the weights of what it is handed to.

    x / sqrt(|x|^2 / D + epsilon) * factors = x / sqrt(|x|^2 + D epsilon) * (sqrt(D) factors)
    """

    def __init__(self, trained: nn.Module, dtype: torch.dtype) -> None:
        assert isinstance(trained, nn.RMSNorm | nn.LayerNorm) and trained.weight is not None and trained.eps is not None
        self._shape, self._epsilon = list(trained.normalized_shape), trained.eps
        factors: Tensor = trained.weight.detach()
        if isinstance(trained, nn.RMSNorm):
            width = self._shape[-1]
            self._bias, self._least = None, factors.new_tensor([width * trained.eps], dtype=torch.float32)
            self._factors = (factors.float() * width**0.5).to(dtype)
        else:
            self._bias, self._factors = trained.bias.detach().to(dtype), factors.to(dtype)

    def __call__(self, x: Tensor) -> Tensor:
        """[N, D] to the same; torch's own RMSNorm makes a new tensor for every step of the formula."""
        if self._bias is not None:
            return F.layer_norm(x, self._shape, self._factors, self._bias, self._epsilon)
        length: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
        return x * torch.addcmul(self._least, length, length).rsqrt_().to(x.dtype)

    def folded(self, weight: Tensor) -> Tensor:
        """[O, D] of a layer that is handed what the norm gives."""
        return weight if self._bias is not None else weight.detach() * self._factors.to(weight.dtype)

    def whole(self, x: Tensor) -> Tensor:
        """[N, D] to the same, with the factors."""
        return self(x) if self._bias is not None else self(x) * self._factors


def _prefix(core: nn.Module, key: Tensor) -> Tensor:
    """Keys and values [P, 2 K d] that a core puts before every window; the innermost come first."""
    match core:
        case AttentionCore():
            return key.new_empty(0, 2 * len(key)).detach()
        case PrefixedCore():
            own = torch.cat([core.keys, core.values], 1).detach()
            return torch.cat([_prefix(plain(core.base), key), own])
        case other:
            raise ConfigError(
                f"a {type(other).__name__} in the place of attention has no form that writes",
                code="TS-MODEL-082",
                place=Place(key="method"),
                fix="merge what the method put there before the model writes.",
            )


def _table(module: nn.Module, dtype: torch.dtype) -> Tensor:
    table = plain(module)
    assert isinstance(table, nn.Embedding)
    return table.weight.detach().to(dtype)
