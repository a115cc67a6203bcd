"""Two texts read together: a class for the pair, or a score.

    classes   p = softmax(head(h)),  answer = argmax p                    loss = -log p_y
    score     o = head(h),  answer = low + o (high - low)                 loss = (o - (score - low) / (high - low))^2

h is the hidden state of the first token of `A [SEP] B`; low and high are the least and the greatest training score, so
that o lives in [0, 1] whatever the scale of the data, and one rate suits all. An answer is not clipped: its order
counts beyond the ends too. Where a pair does not fit the window the longer text is cut first, and the cut is counted.
A `symmetric` relation is read as (A, B) and as (B, A): both orders are learnt, each with half the weight, and their
outputs are averaged, so that the answer does not depend on which text came first.

When to use it: paraphrase, entailment, similarity, re-ranking of candidates. For searching among many texts it is too
slow, since every pair needs a pass.
Cost: one forward pass a pair, two where it is symmetric.
Relations: `text_classification` reads one text.
Reference: Devlin et al. 2019, BERT, section 4.1 (sentence pairs); Nogueira & Cho 2019, Passage re-ranking with BERT.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain
from typing import Self

import numpy as np
import torch
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
from tunesmith.tasks._answers import label_predictions
from tunesmith.tasks._labels import ClassWeights, as_one, inventory, resolved
from tunesmith.tasks._losses import at_least_fp32, class_excess, class_losses
from tunesmith.tasks._pairs import pair_window, paired
from tunesmith.tasks._scores import no_classes, range_of, scaled, score_divergence, score_predictions
from tunesmith.tasks._sequence import Targets, averaged, chunks, class_target, unseen, window


class PairMatching(LabellingTask):
    """A class for a pair of texts, or a score where the gold is a number."""

    labels: list[str] | None = None
    """The class names in the order of the logits; read from the training rows where absent, none for scores."""
    score_range: list[float] | None = Field(default=None, min_length=2, max_length=2)
    """The least and the greatest score, read from the training rows where absent; with it the task gives scores."""
    class_weights: ClassWeights = "none"
    """How much each class counts in the loss; "balanced" makes rare classes count as much in all as frequent ones."""
    focal_gamma: float = Field(default=0.0, ge=0.0, le=10.0)
    """Exponent of the focal loss, which turns attention to examples that are still wrong; 0 is cross-entropy."""
    symmetric: bool = False
    """Whether the order of the two texts has no meaning, as for similarity and paraphrase, but not for entailment."""
    max_length: int | None = Field(default=None, ge=8)
    """Tokens of a window with special tokens; the backbone's own limit where it is smaller or nothing is given."""

    @model_validator(mode="after")
    def _options_fit(self) -> Self:
        if self.score_range is not None and not self.score_range[0] < self.score_range[1]:
            raise ValueError("score_range must be [low, high] with low below high")
        if self.score_range is not None and self.labels is not None:
            raise ValueError("labels and score_range exclude each other: a pair has a class or a score")
        return self

    def bound(self, examples: Iterable[Example]) -> "PairMatching":
        """Classes or the range of the scores, filled in from training examples, which are read once.

        Raises:
            DataError: at the line of an example without a second text or with gold of another kind than the others;
                fewer than two classes, or one score only.
        """
        stream = map(paired, examples)
        first = next((example for example in stream if example.gold is not None), None)
        if first is None:
            raise DataError("no training row carries gold", code="TS-TASK-024", fix="label some rows to learn from.")
        rows = chain((first,), stream)
        if self.score_range is not None or (self.labels is None and isinstance(first.gold, float | int)):
            return self.model_copy(update={"score_range": range_of(rows, given=self.score_range), "labels": None})
        found = inventory(rows, given=self.labels, several=False)
        return self.model_copy(update={"labels": found.labels, "class_weights": resolved(self.class_weights, found)})

    def asked(self, example: Example) -> Example:
        """One label, where the pairs have classes."""
        return as_one(example) if self.score_range is None else example

    def encode(self, examples: Sequence[Example], tokenizer: Tokenizer) -> list[Encoding]:
        """One window for each pair, two where it is symmetric; `truncated` counts the characters that did not fit.

        Raises:
            DataError: at the line of an example without a second text or with gold that the task does not know.
        """
        index = {label: number for number, label in enumerate(self.label_names)}
        encodings: list[Encoding] = []
        for part in chunks(enumerate(examples)):
            first = tokenizer.texts([example.text for _, example in part])
            second = tokenizer.texts([paired(example).pair or "" for _, example in part])
            for (number, example), a, b in zip(part, first, second, strict=True):
                pair = pair_window(example, a, b, tokenizer, max_length=self.max_length)
                windows = [pair]
                if self.symmetric:  # what does not fit is the same in both orders, and counted once
                    turned = pair_window(example, b, a, tokenizer, max_length=self.max_length)
                    windows.append(replace(turned, truncated=0))
                encodings += [
                    window(
                        number,
                        shown.ids,
                        tokenizer,
                        targets=self._targets(example, index),
                        weight=example.weight / len(windows),
                        segments=shown.second if tokenizer.framing.segments else 0,
                        truncated=shown.truncated,
                    )
                    for shown in windows
                ]
        return encodings

    def head(self, backbone: Backbone) -> nn.Module:
        """The classification head of the backbone's family: [M, D] to [M, C], one output for a score."""
        return sequence_head(backbone, len(self.label_names) or 1)

    def divergence(self, first: Tensor, second: Tensor) -> Tensor:
        """KL of the class distributions; of scores, the KL of two normal distributions of variance 1; [M]."""
        if self.score_range is None:
            return super().divergence(first, second)
        return score_divergence(first, second)

    def excess(self, scores: Tensor, batch: Batch) -> Tensor:
        """CE(uniform) - CE(y) of the classes; [M].

        Raises:
            ConfigError: TS-TUNE-040 the pairs have scores.
        """
        assert batch.targets is not None, "a loss needs gold"
        if self.score_range is None:
            return class_excess(scores, batch.targets)
        raise no_classes()

    def loss(self, output: Output, batch: Batch, *, head: nn.Module) -> Tensor:
        """The weighted sum of (focal) cross-entropies, or of squared errors of scores scaled to [0, 1]."""
        assert batch.targets is not None, "a loss needs gold"
        if self.score_range is not None:
            losses = (at_least_fp32(output.logits).squeeze(-1) - batch.targets).square()
        else:
            weights = self.class_weights if isinstance(self.class_weights, list) else None
            losses = class_losses(output.logits, batch.targets, gamma=self.focal_gamma, class_weights=weights)
        return (batch.weight * losses).sum()

    def decode(
        self,
        examples: Sequence[Example],
        encodings: Sequence[Encoding],
        logits: Sequence[Tensor],
        *,
        head: nn.Module,
    ) -> list[Prediction]:
        """The class of each pair with the probability of every class in `scores`, or its score on the data's scale."""
        if not examples:
            return []
        means = averaged(logits, encodings, len(examples))
        truncated = unseen(encodings, len(examples))
        if self.score_range is None:
            return label_predictions(examples, torch.softmax(means, -1), self.label_names, truncated=truncated)
        return score_predictions(examples, means, self.score_range, truncated=truncated)

    @property
    def main_metric(self) -> str:
        """Accuracy, or Spearman's correlation for scores."""
        return "accuracy" if self.score_range is None else "spearman"

    @property
    def label_names(self) -> tuple[str, ...]:
        """The C classes in logit order; empty for a score."""
        return tuple(self.labels or ())

    def _targets(self, example: Example, index: dict[str, int]) -> Targets:
        if example.gold is None:
            return None
        if self.score_range is not None:
            return np.array([scaled(example, self.score_range)], np.float32)
        return class_target(example, index=index)
