"""Heads that came with the backbone: they know words already, so methods see them as a part of it.

A fresh head learns with every method. A pretrained one learns where the backbone does, keeps its names in a checkpoint,
and can answer before the first step.
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor, nn

from tunesmith.core.errors import ConfigError, Place

CHUNK_BYTES: Final = 1 << 25
"""Of logits that exist at a time: few enough to stay near the processor, many enough for a full product."""


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


class WritingHead(VocabularyHead):
    """The head of a causal model: its logits are of the token that comes next."""

    @property
    @abstractmethod
    def vocabulary(self) -> int:
        """V"""

    @abstractmethod
    def writing(self, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
        """A form that only answers, from hidden states [B, D] in `dtype` to logits [B, V]."""


def no_head(what: str) -> ConfigError:
    """The error of a backbone that no answer can be written with."""
    return ConfigError(
        f"this backbone cannot write: {what}",
        code="TS-MODEL-040",
        place=Place(key="backbone"),
        fix="choose a causal model that was saved with its head (...ForCausalLM), for instance starter:chat.",
    )
