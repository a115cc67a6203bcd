"""A table of embeddings whose rows carry a low-rank update.

    E' = E + scale * A B^T,   A [V, r] zero, B [D, r] random, so that E' = E at the start

Every row has r numbers of its own, so words move one by one, as they do in full tuning; those that no text of training
contains stay where they are.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tunesmith.core.method import UpdatedTable
from tunesmith.models.surgery import plain


class LowRankTable(UpdatedTable):
    """Stands around `base`, which is frozen; its `weight` is E + scale * A B^T."""

    def __init__(self, base: nn.Embedding, rank: int, *, scale: float) -> None:
        """B gets U(-1/sqrt(D), 1/sqrt(D)); A is zero."""
        super().__init__()
        self.base = base
        self.scale = scale
        begun = base.weight.new_zeros(base.num_embeddings, rank)
        self.rows = nn.Embedding(base.num_embeddings, rank, _weight=begun)
        self.lora_B = nn.Parameter(base.weight.new_empty(base.embedding_dim, rank))
        bound = 1 / math.sqrt(base.embedding_dim)
        nn.init.uniform_(self.lora_B, -bound, bound)

    @property
    def lora_A(self) -> Tensor:
        """A [V, r]"""
        table = plain(self.rows)
        assert isinstance(table, nn.Embedding)
        return table.weight

    @property
    def weight(self) -> Tensor:
        """[V, D]"""
        return torch.addmm(self.base.weight, self.lora_A, self.lora_B.T, alpha=self.scale)

    def forward(self, ids: Tensor) -> Tensor:
        """Ids of any shape to [..., D]."""
        found: Tensor = self.base(ids)
        return found + F.linear(self.scale * self.rows(ids), self.lora_B)

    def merged(self) -> nn.Module:
        """The plain table with what was learnt in its rows."""
        base = self.base
        with torch.no_grad():
            weight = self.weight
        return nn.Embedding(len(weight), weight.shape[1], padding_idx=base.padding_idx, _weight=weight)
