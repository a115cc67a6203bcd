"""The post-norm encoder that BERT, RoBERTa, XLM-R, DistilBERT and ELECTRA share, over rows laid end to end.

    x = norm(words + positions + segments)
    x = norm(x + output(attend(query x, key x, value x)))      for every layer
    x = norm(x + down(act(up x)))

No padded row is ever multiplied: only `attend` knows where a window ends. Where a head reads some rows only, the last
layer goes on with those once they have attended to all. `query`, `key` and `value` may be replaced by modules that
expose `weight` and `bias` (projection.py), other linear layers, the attention core and the place for a prompt by
whatever has the same inputs and outputs (additions.py).

Shapes: N rows, M of them that are read, D width, E embedding width, I inner width.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from tunesmith.core.batch import Batch
from tunesmith.core.model import Backbone
from tunesmith.models.activations import ACTIVATIONS
from tunesmith.models.attention import AttentionCore, Layout, core_on, layout
from tunesmith.models.dropout import Dropout
from tunesmith.models.inserted_rows import behind, insert
from tunesmith.models.projection import projected
from tunesmith.models.prompt_slot import PromptSlot
from tunesmith.models.row_counts import at
from tunesmith.models.shape import Shape
from tunesmith.models.unfilled import UnfilledLinear, unfilled_table


class Embeddings(nn.Module):
    """Words, positions and segments summed and normalised; a projection where they are narrower than the layers."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width = shape.embedding_width
        self.offset = shape.position_offset
        self.words = unfilled_table(shape.vocabulary, width)
        self.positions = unfilled_table(shape.positions, width)
        self.segments = unfilled_table(shape.segments, width) if shape.segments else None
        self.norm = nn.LayerNorm(width, eps=shape.norm_epsilon)
        self.dropout = Dropout(shape.dropout)
        self.project = UnfilledLinear(width, shape.width) if width != shape.width else None

    def forward(self, batch: Batch, prompt: Tensor | None = None, begin: int = 0) -> Tensor:
        """[N, D]. Every window begins with the rows of `prompt` [P, E] where there is one, and N counts them; its
        positions begin at `begin`."""
        x: Tensor = self.words(batch.input_ids)
        if prompt is not None:
            x, _ = insert(x, prompt, batch.lengths)
            batch, _ = behind(batch, len(prompt))
        x = x + self.positions(batch.positions + (self.offset + begin))
        if self.segments is not None:
            if batch.segment_ids is None or len(self.segments.weight) == 1:
                x = x + self.segments.weight[0]
            else:
                x = x + self.segments(batch.segment_ids)
        x = self.dropout(self.norm(x))
        return x if self.project is None else F.linear(x, self.project.weight, self.project.bias)


class Attention(nn.Module):
    """Query, key and value as one product, the attention core, and the output projection behind it."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.probability = shape.attention_dropout
        self.query = UnfilledLinear(shape.width, shape.width)
        self.key = UnfilledLinear(shape.width, shape.width)
        self.value = UnfilledLinear(shape.width, shape.width)
        self.output = UnfilledLinear(shape.width, shape.width)
        self.core = AttentionCore()

    def forward(self, x: Tensor, layout: Layout) -> Tensor:
        """[N, D] to [N, D], which is still to be projected by `output`."""
        parts = (self.query, self.key, self.value)
        if (
            len(x) < x.shape[1] and not torch.is_grad_enabled()
        ):  # a short request: copying rows is less than copying weights
            qkv = torch.cat([F.linear(x, part.weight, part.bias) for part in parts], 1)
        else:
            qkv = projected(x, parts)
        mixed: Tensor = self.core(qkv, layout, heads=self.heads, dropout=self.probability if self.training else 0.0)
        return mixed


class FeedForward(nn.Module):
    """Two linear layers with an activation between them."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.activation = shape.activation
        self.up = UnfilledLinear(shape.width, shape.inner)
        self.down = UnfilledLinear(shape.inner, shape.width)

    def forward(self, x: Tensor) -> Tensor:
        """[N, D] to [N, D] through [N, I]."""
        down: Tensor = self.down(ACTIVATIONS[self.activation](self.up(x)))
        return down


class Layer(nn.Module):
    """Attention and feed-forward, each added to its input and normalised."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.attention = Attention(shape)
        self.attention_norm = nn.LayerNorm(shape.width, eps=shape.norm_epsilon)
        self.feed_forward = FeedForward(shape)
        self.feed_forward_norm = nn.LayerNorm(shape.width, eps=shape.norm_epsilon)
        self.dropout = Dropout(shape.dropout)

    def forward(self, x: Tensor, layout: Layout, places: Tensor | None = None) -> Tensor:
        """[N, D] to [N, D], or to [M, D] at `places` [M], in bf16 on a processor with some rows behind them."""
        mixed = self.attention(x, layout)
        if places is not None:
            x, mixed = at(places, x), at(places, mixed)
        x = self.attention_norm(x + self.dropout(self.attention.output(mixed)))
        x = self.feed_forward_norm(x + self.dropout(self.feed_forward(x)))
        return x


class Encoder(Backbone):
    """Embeddings and layers with fresh weights, N(0, initializer_range), as transformers begins."""

    def __init__(self, shape: Shape, config: Mapping[str, Any], *, fresh: bool = True) -> None:
        """`fresh=False` leaves the weights undefined, for a caller that fills every one of them."""
        super().__init__()
        self.shape = shape
        self.config = dict(config)
        self.width = shape.width
        self.max_length = shape.positions - shape.position_offset
        self.gradient_checkpointing = False
        self.carried: dict[str, Tensor] | None = None
        """What else the checkpoint held: a pooler, a masked language head; None without a checkpoint"""
        self.prompt = PromptSlot()
        self.embeddings = Embeddings(shape)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        if fresh:
            self.apply(self._begin)

    def embed(self, batch: Batch) -> Tensor:
        """The input of the first layer, [N, D]; N counts the rows of a prompt."""
        embedded: Tensor = self.embeddings(batch, self.prompt(), self.prompt.begin)
        return embedded

    def forward(self, batch: Batch, *, embeddings: Tensor | None = None, places: Tensor | None = None) -> Tensor:
        """Hidden states of the last layer, [N, D], or [M, D] at `places` [M]."""
        prompt = self.prompt()
        x = self.embeddings(batch, prompt, self.prompt.begin) if embeddings is None else embeddings
        if prompt is not None:
            batch, kept = behind(batch, len(prompt))
            places = kept if places is None else kept[places]
        windows = layout(batch.lengths, x, learning=self.training or torch.is_grad_enabled())
        last = self.layers[-1]
        for layer in self.layers:
            read = places if layer is last else None
            if self.gradient_checkpointing and torch.is_grad_enabled():
                x = checkpoint(layer, x, windows, read, use_reentrant=False)
            else:
                x = layer(x, windows, read)
        return x if places is None else x[: len(places)]

    def attention_on(self, device: torch.device, dtype: torch.dtype) -> str:
        """The kernel on a GPU; elsewhere only that it pads."""
        learns = any(parameter.requires_grad for parameter in self.parameters())
        dropout = self.shape.attention_dropout if learns else 0.0  # a backbone that does not learn runs without
        return core_on(device, dtype, self.shape.width // self.shape.heads, dropout=dropout)

    def _begin(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=self.shape.initializer_range)
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)
