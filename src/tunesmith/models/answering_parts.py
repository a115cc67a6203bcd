"""The two small parts of an encoder that only answers: what words begin as, and layer normalisation.

Shapes: N rows, P rows of a prompt, D width, E embedding width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tunesmith.core.batch import Batch
from tunesmith.models.additions import row_update
from tunesmith.models.encoder import Embeddings
from tunesmith.models.inserted_rows import behind, insert
from tunesmith.models.packed import PackedLinear
from tunesmith.models.row_counts import padded, rounded


class Embedder:
    """Positions and the first segment, which most tokens have, are one table."""

    def __init__(self, trained: Embeddings, dtype: torch.dtype) -> None:
        segments = trained.segments.weight.detach() if trained.segments is not None else None
        places = trained.positions.weight.detach()[trained.offset :]
        self._words = trained.words.weight.detach().to(dtype)
        self._places = (places if segments is None else places + segments[0]).to(dtype)
        self._segments = None if segments is None or len(segments) == 1 else (segments - segments[0]).to(dtype)
        self._norm = Norm(trained.norm, dtype)
        project = trained.project
        self._project = None if project is None else PackedLinear(project.weight, project.bias, dtype=dtype)

    def __call__(
        self,
        batch: Batch,
        prompt: Tensor | None,
        *,
        begin: int = 0,
        words: tuple[Tensor, Tensor] | None = None,
        shift: Tensor | None = None,
    ) -> Tensor:
        """[N, D]. Every window begins with the rows of `prompt` [P, E] where there is one, and N counts them.

        Positions begin at `begin`; `words` are the rows [V, r] and the other half [E, r] of an update of the table;
        `shift` [E] is added behind the norm.
        """
        x = self._words.index_select(0, batch.input_ids)
        if words is not None:
            x = x.add_(row_update(batch.input_ids, *words))
        if prompt is not None:
            x, _ = insert(x, prompt, batch.lengths)
            batch, _ = behind(batch, len(prompt))
        x = x.add_(self._places.index_select(0, batch.positions + begin if begin else batch.positions))
        if self._segments is not None and batch.segment_ids is not None:
            x = x.add_(self._segments.index_select(0, batch.segment_ids))
        x = self._norm(x)
        if shift is not None:
            x = x + shift
        if self._project is None:
            return x
        rows = len(x)
        return self._project(padded(x, rounded(rows)))[:rows]


class Norm:
    """Layer normalisation; its sums are fp32 in either format."""

    def __init__(self, trained: nn.LayerNorm, dtype: torch.dtype) -> None:
        self._shape, self._epsilon = trained.normalized_shape, trained.eps
        self._weight, self._bias = trained.weight.detach().to(dtype), trained.bias.detach().to(dtype)

    def __call__(self, x: Tensor) -> Tensor:
        """[N, D] to the same."""
        return F.layer_norm(x, self._shape, self._weight, self._bias, self._epsilon)
