"""The form a model has while it only answers: no gradient, no dropout, and weights laid out once for the processor.

The mathematics is that of `encoder.py`, in two number formats. fp32 gives the numbers of training to six digits. bf16
keeps 8 bits of mantissa in weights and activations and sums in fp32; the head, and so the logits, stay in fp32.

Shapes: N rows, M of them that are read, D width.
"""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from tunesmith.core.batch import Batch
from tunesmith.core.model import Backbone, Model
from tunesmith.models.answering_parts import Embedder, Norm
from tunesmith.models.encoder import Encoder, Layer
from tunesmith.models.inserted_rows import behind
from tunesmith.models.packed import PackedLinear
from tunesmith.models.precision import Precision
from tunesmith.models.ragged import Plan, plan
from tunesmith.models.row_counts import padded, picked, rounded
from tunesmith.models.sublayer import Sublayer

TYPES: Mapping[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}
"""The formats by name"""


def answering(model: Model, *, precision: Precision) -> Model:
    """A model on the CPU that answers as `model` does, which is in evaluation mode. The two share their head.

    Let go of `model`, else its weights are in memory twice. A backbone that transformers runs is only cast.
    """
    dtype, backbone = TYPES[precision], model.backbone
    if isinstance(backbone, Encoder):
        return Model(AnsweringEncoder(backbone, dtype), model.head).eval()
    if dtype == torch.float32:
        return Model(backbone, model.head).eval()
    return Model(_Cast(copy.deepcopy(backbone), dtype), model.head).eval()


class AnsweringEncoder(Backbone):
    """An `Encoder` for inference on a CPU."""

    def __init__(self, encoder: Encoder, dtype: torch.dtype) -> None:
        super().__init__()
        self.width = encoder.width
        self.max_length = encoder.max_length
        self.config = encoder.config
        self.gradient_checkpointing = False
        prompt: Tensor | None = encoder.prompt()
        self._prompt = None if prompt is None else prompt.detach().to(dtype)
        self._embeddings = Embedder(encoder.embeddings, dtype)
        self._begin = int(encoder.prompt.begin)
        self._layers = [_Layer(layer, dtype) for layer in encoder.layers if isinstance(layer, Layer)]

    def embed(self, batch: Batch) -> Tensor:
        """The input of the first layer, [N, D], in the format of the weights; N counts the rows of a prompt."""
        return self._embeddings(batch, self._prompt, begin=self._begin)

    def forward(self, batch: Batch, *, embeddings: Tensor | None = None, places: Tensor | None = None) -> Tensor:
        """Hidden states of the last layer, [N, D] fp32, or [M, D] at `places` [M]."""
        x = self.embed(batch) if embeddings is None else embeddings
        if self._prompt is not None:
            batch, kept = behind(batch, len(self._prompt))
            places = kept if places is None else kept[places]
        layout, rows = plan(batch.lengths, x.device), len(x)
        x = padded(x, rounded(rows))
        last = self._layers[-1]
        for layer in self._layers:
            x = layer(x, layout, rows, places if layer is last else None)
        return x[: rows if places is None else len(places)].float()

    def attention_on(self, device: torch.device, dtype: torch.dtype) -> str:
        """As on any processor."""
        return "padded in chunks"


class _Layer:
    """Four products: query, key and value as one; the attention's output; up; down."""

    def __init__(self, trained: Layer, dtype: torch.dtype) -> None:
        attention, forward = trained.attention, trained.feed_forward
        parts = (attention.query, attention.key, attention.value)
        weight, bias = torch.cat([part.weight for part in parts]), torch.cat([part.bias for part in parts])
        self._heads = attention.heads
        self._qkv = PackedLinear(weight, bias, dtype=dtype)
        self._core = copy.deepcopy(attention.core).to(dtype)
        self._output = Sublayer(attention.output, dtype)
        self._attention_norm = Norm(trained.attention_norm, dtype)
        self._activation = forward.activation
        self._up = PackedLinear(forward.up.weight, forward.up.bias, dtype=dtype)
        self._down = Sublayer(forward.down, dtype)
        self._feed_forward_norm = Norm(trained.feed_forward_norm, dtype)

    def __call__(self, x: Tensor, layout: Plan, rows: int, places: Tensor | None) -> Tensor:
        """[rounded N, D] to the same, of which the first `rows` mean something, or to [rounded M, D] at `places`."""
        mixed = padded(self._core(self._qkv(x)[:rows], layout, heads=self._heads, dropout=0.0), len(x))
        if places is not None:
            x, mixed = picked(x, places), picked(mixed, places)
        x = self._attention_norm(self._output.added(mixed, x))
        return self._feed_forward_norm(self._down.added(self._up.activated(x, self._activation), x))


class _Cast(Backbone):
    """A backbone that computes in another format, and hands its hidden states over in fp32."""

    def __init__(self, backbone: Backbone, dtype: torch.dtype) -> None:
        super().__init__()
        self.width = backbone.width
        self.max_length = backbone.max_length
        self.config: Mapping[str, Any] = backbone.config
        self.gradient_checkpointing = False
        self._inner = backbone.to(dtype)

    def embed(self, batch: Batch) -> Tensor:
        embedded: Tensor = self._inner.embed(batch)
        return embedded

    def forward(self, batch: Batch, *, embeddings: Tensor | None = None, places: Tensor | None = None) -> Tensor:
        hidden: Tensor = self._inner(batch, embeddings=embeddings, places=places)
        return hidden.float()

    def attention_on(self, device: torch.device, dtype: torch.dtype) -> str:
        return self._inner.attention_on(device, dtype)
