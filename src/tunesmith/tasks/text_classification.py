"""One label, or several, for a whole text.

    one label        p = softmax(head(h)),  answer = argmax p          loss = -log p_y
    several labels   p = sigmoid(head(h)),  answer = {c: p_c >= t_c}   loss = mean over c of -log p(y_c)

h is the hidden state of a window's first token. A text longer than the window is read in windows that overlap; their
logits are averaged, and each counts 1 / windows in the loss, so a long text weighs no more than a short one.

With several labels the head begins at what is known before a text is read: its output biases are the log odds of each
label among the training texts, in the weights that the loss gives them. From zero the first steps would all push every
label down together, and at a high rate the hidden states do not recover from that push.

When to use it: intents, topics, sentiment, moderation. For two texts read together take `pair_matching`, for labels
on words `token_classification`.
Cost: one forward pass a window.
Reference: Devlin et al. 2019, section 4.1; Lin et al. 2017 for the focal loss and for biases that begin at a prior
(section 4.1); thresholds as Lipton et al. 2014.
"""

import math
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from tunesmith.core.batch import Batch, Encoding
from tunesmith.core.example import Example
from tunesmith.core.model import Backbone, Output
from tunesmith.core.prediction import Prediction
from tunesmith.core.task import LabellingTask
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.models.heads import sequence_head
from tunesmith.tasks._answers import label_predictions, label_set_predictions
from tunesmith.tasks._labels import (
    ClassWeights,
    as_one,
    as_set,
    inventory,
    labels_of,
    resolved,
    single,
    unknown_label,
)
from tunesmith.tasks._losses import (
    bernoulli_divergence,
    class_excess,
    class_losses,
    label_set_excess,
    label_set_losses,
)
from tunesmith.tasks._sequence import Targets, averaged, class_target, text_windows, unseen
from tunesmith.tasks._thresholds import tuned_thresholds


class TextClassification(LabellingTask):
    """One label per text, or (`multi_label`) any number of them."""

    labels: list[str] | None = None
    """The label names in the order of the logits; read from the training rows where absent."""
    multi_label: bool | None = None
    """Whether a text may carry several labels or none; read from the training rows where absent."""
    thresholds: list[float] | None = None
    """For several labels: the probability from which each is given, tuned on dev after training; 0.5 where absent."""
    label_priors: list[float] | None = None
    """For several labels: the share of texts with each, where the head begins; read from the training rows."""
    class_weights: ClassWeights = "none"
    """How much each class counts in the loss; "balanced" makes rare classes count as much in all as frequent ones."""
    focal_gamma: float = Field(default=0.0, ge=0.0, le=10.0)
    """Exponent of the focal loss, which turns attention to examples that are still wrong; 0 is cross-entropy."""
    max_length: int | None = Field(default=None, ge=8)
    """Tokens of a window with special tokens; the backbone's own limit where it is smaller or nothing is given."""
    stride: int = Field(default=64, ge=0)
    """Tokens that neighbouring windows of a long text share, at most half a window."""

    @model_validator(mode="after")
    def _options_fit(self) -> Self:
        for name, probabilities in (("thresholds", self.thresholds), ("label_priors", self.label_priors)):
            if probabilities is None:
                continue
            if not all(0 < probability < 1 for probability in probabilities):
                raise ValueError(f"{name} are probabilities above 0 and below 1")
            if len(probabilities) != len(self.label_names):
                raise ValueError(f"{name} need labels, one for each")
        return self

    def bound(self, examples: Iterable[Example]) -> "TextClassification":
        """Labels, their number per text, their shares and class weights, filled in from training examples.

        Raises:
            DataError: at the line of an example without a usable label, or fewer than two labels in all.
        """
        found = inventory(map(single, examples), given=self.labels, several=self.multi_label)
        weights = resolved(self.class_weights, found)
        read: dict[str, Any] = {"labels": found.labels, "multi_label": found.several, "class_weights": weights}
        if found.several and self.label_priors is None:
            read["label_priors"] = found.shares()
        return self.model_copy(update=read)

    def asked(self, example: Example) -> Example:
        """A set of labels where a text may carry several, else one label."""
        return as_set(example) if self.multi_label else as_one(example)

    def encode(self, examples: Sequence[Example], tokenizer: Tokenizer) -> list[Encoding]:
        """Windows of each example in order.

        Raises:
            DataError: at the line of an example whose label the task does not know.
        """
        index = {label: number for number, label in enumerate(self.label_names)}
        return text_windows(
            examples, tokenizer, partial(self._targets, index=index), max_length=self.max_length, stride=self.stride
        )

    def head(self, backbone: Backbone) -> nn.Module:
        """The classification head of the backbone's family: [M, D] to [M, C]."""
        return sequence_head(backbone, len(self.label_names), biases=self._log_odds())

    def divergence(self, first: Tensor, second: Tensor) -> Tensor:
        """KL of the class distributions, or the mean over the labels of the KL of each being present; [M]."""
        return bernoulli_divergence(first, second) if self.multi_label else super().divergence(first, second)

    def excess(self, scores: Tensor, batch: Batch) -> Tensor:
        """CE(uniform) - CE(y) of the classes, or the mean of it over the labels; [M]."""
        assert batch.targets is not None, "a loss needs gold"
        return (label_set_excess if self.multi_label else class_excess)(scores, batch.targets)

    def loss(self, output: Output, batch: Batch, *, head: nn.Module) -> Tensor:
        """The weighted sum of (focal) cross-entropies."""
        assert batch.targets is not None, "a loss needs gold"
        weights = self.class_weights if isinstance(self.class_weights, list) else None
        if self.multi_label:
            losses = label_set_losses(output.logits, batch.targets, gamma=self.focal_gamma, positive_weights=weights)
        else:
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
        """The label (or labels) of each example with the probability of every label in `scores`.

        `confidence` is the probability of the label; for several labels that of the least certain decision.
        """
        if not examples:
            return []
        means = averaged(logits, encodings, len(examples))
        if not self.multi_label:
            shares = torch.softmax(means, -1)
            return label_predictions(examples, shares, self.label_names, truncated=unseen(encodings, len(examples)))
        return label_set_predictions(examples, torch.sigmoid(means), self.label_names, thresholds=self.thresholds)

    def tuned(self, predictions: Sequence[Prediction]) -> "TextClassification":
        """For several labels, the same task with thresholds that suit dev predictions (see `tuned_thresholds`)."""
        if not self.multi_label:
            return self
        return self.model_copy(update={"thresholds": tuned_thresholds(predictions, self.label_names)})

    @property
    def main_metric(self) -> str:
        """Accuracy, or micro F1 where a text may carry several labels."""
        return "micro_f1" if self.multi_label else "accuracy"

    @property
    def label_names(self) -> tuple[str, ...]:
        """The C labels in logit order."""
        return tuple(self.labels or ())

    def _log_odds(self) -> list[float] | None:
        """Of each label before its text is read, as the weighted loss sees it; None for one label per text."""
        if not self.multi_label or self.label_priors is None:
            return None
        weights = self.class_weights if isinstance(self.class_weights, list) else [1.0] * len(self.label_priors)
        return [math.log(w * p / (1 - p)) for w, p in zip(weights, self.label_priors, strict=True)]

    def _targets(self, example: Example, *, index: dict[str, int]) -> Targets:
        if example.gold is None:
            return None
        if not self.multi_label:
            return class_target(example, index=index)
        names = labels_of(example)
        for name in names:
            if name not in index:
                raise unknown_label(example, name)
        row = np.zeros((1, len(index)), np.float32)
        row[0, [index[name] for name in names]] = 1
        return row
