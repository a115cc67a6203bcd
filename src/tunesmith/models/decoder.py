"""The pre-norm decoder that GPT-2, Llama, Mistral and Qwen share, over rows laid end to end.

    x = words (+ positions)
    x = x + output(attend(query n, key n, value n)),   n = norm(x), and a row sees what stands before it, and itself
    x = x + down(act(up n)),   or down(act(gate n) * up n),   n = norm(x)
    norm(x) at the end

What encoder.py says of places for methods holds here too: layers, attention cores and the place for a prompt may be
replaced.

Shapes: N rows, M of them that are read, D width, H heads of size d, K of them for keys and values.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from tunesmith.core.batch import Batch
from tunesmith.core.model import Backbone
from tunesmith.models.activations import ACTIVATIONS
from tunesmith.models.attention import AttentionCore, Layout, core_on, layout
from tunesmith.models.decoder_shape import DecoderShape
from tunesmith.models.dropout import Dropout
from tunesmith.models.inserted_rows import behind, insert
from tunesmith.models.projection import projected
from tunesmith.models.prompt_slot import PromptSlot
from tunesmith.models.root_mean_square import RootMeanSquareNorm
from tunesmith.models.rotary import Turn, turn_at, turned
from tunesmith.models.row_counts import at
from tunesmith.models.unfilled import UnfilledLinear, unfilled_table


class DecoderAttention(nn.Module):
    """Query, key and value as one product, turned by their positions, and the attention core."""

    def __init__(self, shape: DecoderShape) -> None:
        super().__init__()
        self.heads, self.groups = shape.heads, shape.heads // shape.shared_heads
        self.probability = shape.attention_dropout
        queried, shared = shape.heads * shape.head_size, shape.shared_heads * shape.head_size
        self.sizes = [queried, shared, shared]
        inside, outside = shape.attention_biases
        self.query = UnfilledLinear(shape.width, queried, bias=inside)
        self.key = UnfilledLinear(shape.width, shared, bias=inside)
        self.value = UnfilledLinear(shape.width, shared, bias=inside)
        self.output = UnfilledLinear(queried, shape.width, bias=outside)
        self.query_norm, self.key_norm = (
            RootMeanSquareNorm(shape.head_size, eps=shape.norm_epsilon) if shape.head_norms else None for _ in range(2)
        )
        self.core = AttentionCore()

    def forward(self, x: Tensor, turn: Turn | None, layout: Layout) -> Tensor:
        """[N, D] to [N, H d], which is still to be projected by `output`."""
        qkv = projected(x, (self.query, self.key, self.value))
        if self.query_norm is not None and self.key_norm is not None:
            query, key, value = torch.split(qkv, self.sizes, 1)
            qkv = torch.cat([_by_head(self.query_norm, query), _by_head(self.key_norm, key), value], 1)
        if turn is not None:
            qkv = turned(qkv, turn, heads=self.heads + self.heads // self.groups)
        dropout = self.probability if self.training else 0.0
        mixed: Tensor = self.core(qkv, layout, heads=self.heads, dropout=dropout, groups=self.groups)
        return mixed


class DecoderFeedForward(nn.Module):
    """Two linear layers with an activation between them, or three of which one is the gate."""

    def __init__(self, shape: DecoderShape) -> None:
        super().__init__()
        self.activation = shape.activation
        self.gate = UnfilledLinear(shape.width, shape.inner, bias=shape.inner_bias) if shape.gated else None
        self.up = UnfilledLinear(shape.width, shape.inner, bias=shape.inner_bias)
        self.down = UnfilledLinear(shape.inner, shape.width, bias=shape.inner_bias)

    def forward(self, x: Tensor) -> Tensor:
        """[N, D] to [N, D]."""
        act, up = ACTIVATIONS[self.activation], self.up(x)
        down: Tensor = self.down(act(up) if self.gate is None else act(self.gate(x)) * up)
        return down


class DecoderLayer(nn.Module):
    """Attention and feed-forward, each of what is normalised, added to what is not."""

    def __init__(self, shape: DecoderShape) -> None:
        super().__init__()
        self.attention_norm = _norm(shape)
        self.attention = DecoderAttention(shape)
        self.feed_forward_norm = _norm(shape)
        self.feed_forward = DecoderFeedForward(shape)
        self.dropout = Dropout(shape.dropout)

    def forward(self, x: Tensor, turn: Turn | None, layout: Layout, places: Tensor | None = None) -> Tensor:
        """[N, D] to [N, D], or to [M, D] at `places` [M], in bf16 on a processor with some rows behind them."""
        mixed = self.attention(self.attention_norm(x), turn, layout)
        if places is not None:
            x, mixed = at(places, x), at(places, mixed)
        x = x + self.dropout(self.attention.output(mixed))
        x = x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))
        return x


class Decoder(Backbone):
    """Words, layers and a norm, with fresh weights N(0, initializer_range)."""

    causal = True

    def __init__(self, shape: DecoderShape, config: Mapping[str, Any], *, fresh: bool = True) -> None:
        """`fresh=False` leaves the weights undefined, for a caller that fills every one of them."""
        super().__init__()
        self.shape = shape
        self.config = dict(config)
        self.width = shape.width
        self.max_length = shape.positions
        self.gradient_checkpointing = False
        self.carried: dict[str, Tensor] | None = None
        """What else the checkpoint held: a language head that is not the table of words; None without a checkpoint"""
        self.prompt = PromptSlot()
        self.words = unfilled_table(shape.vocabulary, shape.width)
        self.positions = None if shape.rotary else unfilled_table(shape.positions, shape.width)
        self.dropout = Dropout(shape.embedding_dropout)
        self.layers = nn.ModuleList(DecoderLayer(shape) for _ in range(shape.layers))
        self.norm = _norm(shape)
        if fresh:
            self.apply(self._begin)

    def embed(self, batch: Batch) -> Tensor:
        """The input of the first layer, [N, D]; N counts the rows of a prompt."""
        x: Tensor = self.words(batch.input_ids)
        if (prompt := self.prompt()) is not None:
            x, _ = insert(x, prompt, batch.lengths)
            batch, _ = behind(batch, len(prompt))
        if self.positions is not None:
            x = x + self.positions(batch.positions + self.prompt.begin)
        dropped: Tensor = self.dropout(x)
        return dropped

    def forward(self, batch: Batch, *, embeddings: Tensor | None = None, places: Tensor | None = None) -> Tensor:
        """Hidden states of the last layer behind its norm, [N, D], or [M, D] at `places` [M]."""
        x = self.embed(batch) if embeddings is None else embeddings
        if (prompt := self.prompt()) is not None:
            batch, kept = behind(batch, len(prompt))
            places = kept if places is None else kept[places]
        windows = layout(batch.lengths, x, learning=self.training or torch.is_grad_enabled(), causal=True)
        turn = self._turn(batch.positions, x.dtype)
        last = self.layers[-1]
        for layer in self.layers:
            read = places if layer is last else None
            if self.gradient_checkpointing and torch.is_grad_enabled():
                x = checkpoint(layer, x, turn, windows, read, use_reentrant=False)
            else:
                x = layer(x, turn, windows, read)
        hidden: Tensor = self.norm(x if places is None else x[: len(places)])
        return hidden

    def attention_on(self, device: torch.device, dtype: torch.dtype) -> str:
        """The kernel on a GPU; elsewhere only that it pads."""
        learns = any(parameter.requires_grad for parameter in self.parameters())
        dropout = self.shape.attention_dropout if learns else 0.0  # a backbone that does not learn runs without
        return core_on(device, dtype, self.shape.head_size, dropout=dropout)

    def _turn(self, positions: Tensor, dtype: torch.dtype) -> Turn | None:
        """What rows at `positions` [N] are turned by."""
        if self.shape.rotary is None:
            return None
        frequencies = self.shape.rotary.frequencies(self.shape.head_size).to(positions.device)
        return turn_at(positions + self.prompt.begin, frequencies, dtype)

    def _begin(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=self.shape.initializer_range)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)


def _norm(shape: DecoderShape) -> nn.Module:
    kind = RootMeanSquareNorm if shape.root_mean_square else nn.LayerNorm
    return kind(shape.width, eps=shape.norm_epsilon)


def _by_head(norm: nn.RMSNorm, rows: Tensor) -> Tensor:
    """[N, H d] to the same, each head by itself."""
    normed: Tensor = norm(rows.reshape(len(rows), -1, len(norm.weight)))
    return normed.flatten(1)
