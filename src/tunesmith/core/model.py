"""A backbone with a head. Heads, tasks and regularizers see `hidden` [M, D]; only the backbone knows window borders."""

from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from tunesmith.core.batch import Batch


class Output:
    """What a model says at the places of a batch. Both are fp32 unless autocast."""

    def __init__(self, hidden: Tensor, head: nn.Module) -> None:
        self.hidden = hidden
        """[M, D]"""
        self._head = head

    @cached_property
    def logits(self) -> Tensor:
        """[M, C], computed when asked for: over a vocabulary they would be larger than the model."""
        logits: Tensor = self._head(self.hidden)
        return logits


class Backbone(nn.Module):
    """A pretrained encoder or decoder over flat tokens. Implementations are final and live in `tunesmith.models`."""

    causal: bool = False
    """Whether a row sees only what stands before it: a window is then read at its last token, a word likewise."""
    width: int
    """D"""
    max_length: int
    """The longest window the position table allows, special tokens included."""
    config: Mapping[str, Any]
    """The Hugging Face configuration of the checkpoint, `model_type` included."""
    gradient_checkpointing: bool
    """Set it to recompute each layer in the backward pass instead of keeping its activations (Chen et al. 2016)."""

    @abstractmethod
    def embed(self, batch: Batch) -> Tensor:
        """The input of the first layer, [N, D]: what adversarial training perturbs and attributions start from."""

    @abstractmethod
    def forward(self, batch: Batch, *, embeddings: Tensor | None = None, places: Tensor | None = None) -> Tensor:
        """Hidden states of the last layer, [N, D], or [M, D] of the rows `places` [M] where only they are read.

        `embeddings` [N, D] stands in for `embed(batch)`.
        """

    @abstractmethod
    def attention_on(self, device: torch.device, dtype: torch.dtype) -> str:
        """How attention will run there in training, in a few words: a run tells it before its first step."""


class Model(nn.Module):
    """`head(backbone(batch)[places])`. A backbone that does not learn runs without dropout, in training too."""

    def __init__(self, backbone: Backbone, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    @property
    def frozen(self) -> bool:
        """Whether nothing in the backbone learns."""
        return not any(parameter.requires_grad for parameter in self.backbone.parameters())

    def train(self, mode: bool = True) -> "Model":
        """Training or evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self

    def forward(self, batch: Batch, *, embeddings: Tensor | None = None) -> Output:
        """Hidden states and logits at the places of the batch."""
        known = batch.hidden if embeddings is None else None
        hidden = self.read(batch, embeddings=embeddings) if known is None else known
        return Output(hidden, self.head)

    def read(self, batch: Batch, *, embeddings: Tensor | None = None) -> Tensor:
        """Hidden states at the places of the batch, [M, D]: what the head reads."""
        if not batch.pooled:
            hidden: Tensor = self.backbone(batch, embeddings=embeddings, places=batch.places)
            return hidden
        return window_means(self.backbone(batch, embeddings=embeddings), batch)


def window_means(rows: Tensor, batch: Batch) -> Tensor:
    """The mean of the rows [N, D] of each window that has a place, [M, D], summed in fp32 at least."""
    lengths = torch.tensor(batch.lengths, device=rows.device)
    wide = rows.to(torch.promote_types(rows.dtype, torch.float32))
    means = torch.segment_reduce(wide, "mean", lengths=lengths, axis=0)
    return means[: len(batch.places)]  # a window that only rounds the shape stands last and has no place
