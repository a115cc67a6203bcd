"""The contract between a model and whoever writes with it: read the prompts once, then one token a text and step.

Shapes: B texts, D width.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from tunesmith.core.batch import Batch, Encoding, collate


class IncrementalState(ABC):
    """Texts under way, in the order of their prompts until `reorder` changes it."""

    @abstractmethod
    def step(self, tokens: Tensor) -> Tensor:
        """Put `tokens` [B] behind the texts: hidden states of those rows behind the last norm.

        They are [B, D], in the format that the model computes in.
        """

    @abstractmethod
    def reorder(self, rows: Tensor) -> None:
        """Go on with the texts `rows` [B'] int64 of the present ones, which may leave some out and name some often.

        Texts may only change places with those that stem from the same prompt; beams do no more, nor does leaving out
        what is finished.
        """


class IncrementalModel(ABC):
    """A causal backbone that only answers."""

    max_length: int
    """The longest text, prompt and answer, in tokens."""

    @abstractmethod
    def prefill(self, prompts: Sequence[Sequence[int]]) -> tuple[IncrementalState, Tensor]:
        """Read `prompts`, token ids of at least one token each: their state, and hidden states of their last tokens.

        The hidden states are as those of a step. Prompts of similar length had better follow each other.
        """


def prompt_batch(prompts: Sequence[Sequence[int]]) -> Batch:
    """Prompts laid end to end; the place of each is its last token."""
    windows = [
        Encoding(
            example=index,
            input_ids=np.asarray(prompt, np.int32),
            segment_ids=None,
            places=np.asarray([len(prompt) - 1], np.int32),
            units=np.zeros(1, np.int32),
            targets=None,
        )
        for index, prompt in enumerate(prompts)
    ]
    return collate(windows, [""] * len(windows))
