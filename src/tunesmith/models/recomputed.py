"""A causal backbone that writes without a cache: the whole text is read again at every step.

Right for every causal backbone, with whatever a method left in it, and slow: the work of a step grows with the length
of the text, where a cache reads one row. It serves backbones whose state nobody can take texts out of, and the tests
hold every cache against it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from tunesmith.core.model import Backbone
from tunesmith.models.incremental import IncrementalModel, IncrementalState, prompt_batch


class RecomputedModel(IncrementalModel):
    """Any causal backbone in evaluation mode."""

    def __init__(self, backbone: Backbone, *, added_rows: int = 0) -> None:
        """`added_rows`: positions that a method takes from every window."""
        self._backbone = backbone
        self.max_length = backbone.max_length - added_rows

    def prefill(self, prompts: Sequence[Sequence[int]]) -> tuple[IncrementalState, Tensor]:
        """The texts as they are, and hidden states [B, D] of their last tokens."""
        state = _State(self._backbone, [list(prompt) for prompt in prompts])
        return state, state.last()


class _State(IncrementalState):
    def __init__(self, backbone: Backbone, texts: list[list[int]]) -> None:
        self._backbone, self._texts = backbone, texts

    def step(self, tokens: Tensor) -> Tensor:
        for text, token in zip(self._texts, tokens.tolist(), strict=True):
            text.append(token)
        return self.last()

    def reorder(self, rows: Tensor) -> None:
        self._texts = [list(self._texts[row]) for row in rows.tolist()]

    def last(self) -> Tensor:
        """[B, D] at the last token of every text."""
        # a text that has ended may go on beside the others, beyond the positions: nobody looks at what it reads
        texts = [text[: self._backbone.max_length] for text in self._texts]
        weight = next(self._backbone.parameters())
        batch = prompt_batch(texts).to(weight.device)
        with torch.inference_mode():
            hidden: Tensor = self._backbone(batch, places=batch.places)
        return hidden.to(weight.dtype)
