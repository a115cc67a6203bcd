"""Hidden states that a head reads, of a backbone that does not learn: the same in every epoch, so computed once.

Windows are computed in blocks of their neighbours by length, a block at the first need of one of its windows. Which
windows stand together is a function of the data alone: a run that was stopped and goes on sees the same bits. Where
memory once ran out nothing is kept, now or when the run goes on.
"""

import time
from collections.abc import Sequence

import torch
from torch import Tensor

from tunesmith.core.model import Model
from tunesmith.models.inference import batches_by_length
from tunesmith.tune.data import TrainingData

BLOCK_TOKENS = 2048
"""Tokens of one forward pass"""
MOST_BYTES = 1 << 30
"""Bytes that are kept; windows beyond are computed anew each time, the shortest of them"""


class Recall:
    """Hidden states by window."""

    def __init__(self, model: Model, data: TrainingData, device: torch.device) -> None:
        self.model = model
        self.data = data
        self.device = device
        lengths = [len(encoding) for encoding in data.encodings]
        self._wide = next(model.backbone.parameters()).element_size() * model.backbone.width
        room, blocks = MOST_BYTES // self._wide, []
        for block in batches_by_length(lengths, BLOCK_TOKENS):
            room -= data.places(block)
            if room < 0:
                break
            blocks.append(block)
        self._block_of = {index: block for block in blocks for index in block}
        self._known: dict[int, Tensor] = {}
        self.seconds = 0.0
        """Spent so far on what is kept"""

    def hidden(self, indices: Sequence[int]) -> Tensor:
        """[M, D] at the places of these windows."""
        for index in indices:
            if index in self._block_of and index not in self._known:
                begin = time.perf_counter()
                self._known |= self._computed(self._block_of[index])
                self.seconds += time.perf_counter() - begin
        others = self._computed([index for index in indices if index not in self._block_of])
        return torch.cat([self._known[index] if index in self._known else others[index] for index in indices])

    def seconds_for_all(self) -> float:
        """What all that is kept costs, by what was spent so far."""
        tokens = self.data.tokens(list(self._known))
        return self.seconds / tokens * self.data.tokens(list(self._block_of)) if tokens else 0.0

    @property
    def bytes_to_come(self) -> int:
        """What all that is kept will take beside what is known already."""
        missing = [index for index in self._block_of if index not in self._known]
        return self.data.places(missing) * self._wide

    def _computed(self, indices: Sequence[int]) -> dict[int, Tensor]:
        """[m, D] of each window."""
        if not indices:
            return {}
        batch = self.data.batch(indices).to(self.device)
        with torch.no_grad():
            hidden = self.model.read(batch)
        return dict(zip(indices, hidden.split_with_sizes(list(batch.place_counts)), strict=True))


def recall_of(model: Model, data: TrainingData, device: torch.device) -> Recall | None:
    """What remembers the hidden states, or None where the backbone learns."""
    return Recall(model, data, device) if model.frozen else None
