"""Training only the embedding rows that occur, and writing them back exactly.

A row that no batch contains has gradient zero: AdamW leaves it alone but for the decoupled decay, a known factor. So
the table [V, E] is replaced by the rows [U, E] of the ids that occur, and at the end every other row is multiplied by
the product of (1 - rate * decay) over the steps. For a multilingual model this is most of the model.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tunesmith.core.method import Mergeable


class CompactEmbedding(Mergeable):
    """Stands in for an embedding table: learns `weight` [U, E], looks every other id up in the full table."""

    rows: Tensor

    def __init__(self, table: nn.Embedding, used: Tensor) -> None:
        super().__init__()
        self.table = (table,)  # in a tuple, so that it is neither trained, moved, cast nor saved
        self.used = used
        self.decay = 1.0
        """What unused rows have shrunk to so far."""
        rows = torch.full((table.num_embeddings,), -1, dtype=torch.int64)
        rows[used] = torch.arange(len(used))
        self.register_buffer("rows", rows.to(table.weight.device), persistent=False)
        self.weight = nn.Parameter(table.weight.detach()[used].clone(), requires_grad=table.weight.requires_grad)

    def forward(self, ids: Tensor) -> Tensor:
        """Ids of any shape to [..., E]."""
        rows = self.rows[ids]
        if bool((rows >= 0).all()):
            return F.embedding(rows, self.weight)
        (table,) = self.table
        found = F.embedding(rows.clamp(min=0), self.weight)
        rest = F.embedding(ids.to(table.weight.device), table.weight.detach()).to(found) * self.decay
        return torch.where((rows >= 0)[..., None], found, rest)

    def merged(self) -> nn.Module:
        """A full table that computes the same."""
        (table,) = self.table
        weight = (table.weight.detach() * self.decay).to(self.weight)
        weight[self.used.to(weight.device)] = self.weight.detach()
        full = nn.Embedding(len(weight), weight.shape[1], padding_idx=table.padding_idx, _weight=weight)
        full.weight.requires_grad_(self.weight.requires_grad)
        return full
