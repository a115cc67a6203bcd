"""A number for a whole text.

    o = head(h),  answer = low + o (high - low),  loss = (o - (score - low) / (high - low))^2

h is the hidden state of a window's first token; low and high are the least and the greatest training score, so that o
lives in [0, 1] whatever the scale of the data. An answer is not clipped: its order counts beyond the ends too. A text
longer than the window is read in windows that overlap; their outputs are averaged, and each counts 1 / windows.

When to use it: ratings, prices, urgency, anything with an order and a distance. For a few grades that are only names
take `text_classification`, for how alike two texts are `pair_matching`.
Cost: one forward pass a window.
Relations: `pair_matching` with scores does the same for two texts.
Reference: Devlin et al. 2019, BERT, section 4.1 (STS-B as regression).
"""

from collections.abc import Iterable, Sequence
from typing import Self

import numpy as np
from pydantic import Field, model_validator
from torch import Tensor, nn

from tunesmith.core.batch import Batch, Encoding
from tunesmith.core.errors import DataError
from tunesmith.core.example import Example
from tunesmith.core.model import Backbone, Output
from tunesmith.core.prediction import Prediction
from tunesmith.core.task import LabellingTask
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.models.heads import sequence_head
from tunesmith.tasks._labels import single
from tunesmith.tasks._losses import at_least_fp32
from tunesmith.tasks._scores import no_classes, range_of, scaled, score_divergence, score_predictions
from tunesmith.tasks._sequence import Targets, averaged, text_windows, unseen


class TextRegression(LabellingTask):
    """A score for each text."""

    score_range: list[float] | None = Field(default=None, min_length=2, max_length=2)
    """The least and the greatest score, read from the training rows where absent."""
    max_length: int | None = Field(default=None, ge=8)
    """Tokens of a window with special tokens; the backbone's own limit where it is smaller or nothing is given."""
    stride: int = Field(default=64, ge=0)
    """Tokens that neighbouring windows of a long text share, at most half a window."""

    @model_validator(mode="after")
    def _range_has_a_width(self) -> Self:
        if self.score_range is not None and not self.score_range[0] < self.score_range[1]:
            raise ValueError("score_range must be [low, high] with low below high")
        return self

    def bound(self, examples: Iterable[Example]) -> "TextRegression":
        """The range of the scores, from training examples.

        Raises:
            DataError: at the line of an example with a second text or without a number; no gold at all, or one score
                only.
        """
        rows = [single(example) for example in examples if single(example).gold is not None]
        if not rows:
            raise DataError("no training row carries gold", code="TS-TASK-024", fix="give some rows a score.")
        return self.model_copy(update={"score_range": range_of(rows, given=self.score_range)})

    def encode(self, examples: Sequence[Example], tokenizer: Tokenizer) -> list[Encoding]:
        """Windows of each example in order.

        Raises:
            DataError: at the line of an example with a second text, or with gold that is no number.
        """
        return text_windows(examples, tokenizer, self._targets, max_length=self.max_length, stride=self.stride)

    def head(self, backbone: Backbone) -> nn.Module:
        """The classification head of the backbone's family with one output: [M, D] to [M, 1]."""
        return sequence_head(backbone, 1)

    def divergence(self, first: Tensor, second: Tensor) -> Tensor:
        """The KL of two normal distributions of variance 1; [M]."""
        return score_divergence(first, second)

    def excess(self, scores: Tensor, batch: Batch) -> Tensor:
        """Nothing: there are no classes.

        Raises:
            ConfigError: TS-TUNE-040 always.
        """
        raise no_classes()

    def loss(self, output: Output, batch: Batch, *, head: nn.Module) -> Tensor:
        """The weighted sum of squared errors of scores scaled to [0, 1]."""
        assert batch.targets is not None, "a loss needs gold"
        return (batch.weight * (at_least_fp32(output.logits).squeeze(-1) - batch.targets).square()).sum()

    def decode(
        self,
        examples: Sequence[Example],
        encodings: Sequence[Encoding],
        logits: Sequence[Tensor],
        *,
        head: nn.Module,
    ) -> list[Prediction]:
        """The score of each text on the data's scale."""
        if not examples:
            return []
        assert self.score_range is not None, "the task is not bound"
        means = averaged(logits, encodings, len(examples))
        return score_predictions(examples, means, self.score_range, truncated=unseen(encodings, len(examples)))

    @property
    def main_metric(self) -> str:
        """Spearman's correlation."""
        return "spearman"

    @property
    def label_names(self) -> tuple[str, ...]:
        """None."""
        return ()

    def _targets(self, example: Example) -> Targets:
        assert self.score_range is not None, "the task is not bound"
        return None if example.gold is None else np.array([scaled(example, self.score_range)], np.float32)
