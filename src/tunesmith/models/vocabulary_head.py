"""Heads that came with the backbone: they know words already, so methods see them as a part of it.

A fresh head learns with every method. A pretrained one learns where the backbone does, keeps its names in a checkpoint,
and can answer before the first step.
"""

from abc import abstractmethod

from torch import Tensor, nn


class PretrainedHead(nn.Module):
    """A head whose weights are the checkpoint's."""

    @property
    @abstractmethod
    def tied(self) -> bool:
        """Whether the words' table is the output matrix too."""

    @abstractmethod
    def hub_name(self, name: str) -> str:
        """transformers' name of this head's own parameter `name`."""


class VocabularyHead(PretrainedHead):
    """Hidden states [M, D] to logits over all V tokens, [M, V], or what is asked of them."""

    @abstractmethod
    def log_likelihoods(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """log p of `targets` [M] int64, [M] fp32, from hidden states [M, D]."""

    @abstractmethod
    def logits_at(self, hidden: Tensor, tokens: Tensor) -> Tensor:
        """The logits of `tokens` [K] int64 alone, [M, K] in fp32 at least, without those of the other tokens."""
