"""One label for a whole text: the label whose description, or whose examples, mean most nearly the same.

    v = mean of h over the tokens of a window        logit_c = cos(v, w_c) / t        p = softmax        loss = -log p_y

w_c is a vector for each label. It begins at the vector of the label's description, and where there are training rows
at a weighted mean of that and of the vectors of some rows with the label. So a backbone that was trained to embed
sentences answers before it has learnt anything (zero-shot), and the loss tunes it further: each text is drawn to the
vector of its own label and pushed from those of all others. That is a contrast of texts with labels, one pass a text;
pairs of texts, whose number grows with the square of the rows, are never formed.

A text longer than the window is read in windows that overlap; their logits are averaged, and each counts 1 / windows
in the loss.

When to use it: no labelled row, or a few of each label, and a backbone that embeds sentences: both starters do. With
many rows, or another backbone, take `text_classification`.
Cost: that of `text_classification`, and before the first step a pass over the descriptions and some rows of each label.
Reference: Reimers & Gurevych 2019 (mean pooling); Yin, Hay & Roth 2019, Benchmarking zero-shot text classification
(labels by their descriptions); Snell, Swersky & Zemel 2017, Prototypical networks (class means); Tunstall et al. 2022,
SetFit, which contrasts pairs of texts where this contrasts a text with labels.
"""

import difflib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Self

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from tunesmith.core.batch import Batch, Encoding
from tunesmith.core.errors import ConfigError, Place
from tunesmith.core.example import Example, Source
from tunesmith.core.model import Backbone, Output
from tunesmith.core.prediction import Prediction
from tunesmith.core.task import LabellingTask
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.models.cosine_head import CosineHead
from tunesmith.models.sentence_vectors import sentence_vectors
from tunesmith.tasks._answers import label_predictions
from tunesmith.tasks._labels import as_one, inventory, one_label, single
from tunesmith.tasks._losses import class_excess, class_losses
from tunesmith.tasks._sequence import averaged, class_target, text_windows, unseen

MOST_ROWS = 32
"""Rows of a label that its vector begins at the mean of; of more, so many evenly spaced."""
ROWS_WEIGH = 2.0
"""How much the mean of a label's rows counts beside its description. Between 1 and 4 it makes little difference: names
alone say less than eight rows (banking77), a good description more than sixteen (eprstmt)."""


class LabelMatching(LabellingTask):
    """One label per text, found by meaning."""

    labels: list[str] | None = None
    """The label names in the order of the logits; read from the rows, else from the descriptions, where absent."""
    descriptions: dict[str, str] = Field(default_factory=dict)
    """What a label means, by label: `{ card_lost = "my card was lost or stolen" }`. The name of a label, with blanks
    for underscores, is the description where none is given."""
    template: str = "{}"
    """What a description is put into: "This text is about {}." """
    prefix: str = ""
    """What is put before every text and every description, as the backbone was trained: "query: " for E5."""
    temperature: float = Field(default=0.05, gt=0.0, le=1.0)
    """What cosines are divided by: a lower one makes surer answers and a sharper loss."""
    max_length: int | None = Field(default=None, ge=8)
    """Tokens of a window with special tokens; the backbone's own limit where it is smaller or nothing is given."""
    stride: int = Field(default=64, ge=0)
    """Tokens that neighbouring windows of a long text share, at most half a window."""

    @model_validator(mode="after")
    def _options_fit(self) -> Self:
        if self.template.count("{}") != 1 or set(self.template.replace("{}", "")) & set("{}"):
            raise ValueError('a template holds {} once, and no other brace: "This text is about {}."')
        if any(not text.strip() for text in self.descriptions.values()):
            raise ValueError("a description says something: leave it out for the name of the label")
        return self

    def bound(self, examples: Iterable[Example]) -> "LabelMatching":
        """Labels from the rows, or without rows from the descriptions; each label with its description.

        Raises:
            DataError: at the line of an example without a usable label, or fewer than two labels in all.
            ConfigError: a description of a label that is not there.
        """
        rows = list(map(single, examples))
        if rows:
            labels = inventory(rows, given=self.labels, several=False).labels
        else:
            labels = self.labels or sorted(self.descriptions)
        if len(labels) < 2:
            raise ConfigError(
                "there are no two labels to tell apart",
                code="TS-TASK-040",
                place=Place(key="task.descriptions"),
                fix="describe each label, name them in task.labels, or name a file with labelled rows.",
            )
        for label in self.descriptions:
            if label not in labels:
                near = difflib.get_close_matches(label, labels, n=1)
                raise ConfigError(
                    f"there is no label {label!r} to describe",
                    code="TS-TASK-041",
                    place=Place(key=f"task.descriptions.{label}"),
                    fix=f"did you mean {near[0]!r}?" if near else f"the labels are: {', '.join(labels)}.",
                )
        told = {label: self.descriptions.get(label) or readable(label) for label in labels}
        return self.model_copy(update={"labels": list(labels), "descriptions": told})

    @property
    def answers_untrained(self) -> bool:
        """Yes: a label is where its description lies."""
        return True

    def asked(self, example: Example) -> Example:
        """One bare label."""
        return as_one(example)

    def encode(self, examples: Sequence[Example], tokenizer: Tokenizer) -> list[Encoding]:
        """Windows of each example in order, each read as the mean of its rows.

        Raises:
            DataError: at the line of an example whose label the task does not know.
        """
        index = {label: number for number, label in enumerate(self.label_names)}
        begun = [replace(example, text=f"{self.prefix}{example.text}") for example in examples]
        windows = text_windows(
            begun, tokenizer, partial(class_target, index=index), max_length=self.max_length, stride=self.stride
        )
        return [replace(window, pooled=True) for window in windows]

    def head(self, backbone: Backbone) -> nn.Module:
        """A vector for each label, `label_vectors` [C, D]."""
        return CosineHead(backbone, len(self.label_names), temperature=self.temperature)

    def begin(self, head: nn.Module, backbone: Backbone, *, tokenizer: Tokenizer, examples: Sequence[Example]) -> None:
        """Put the label vectors where descriptions and rows say."""
        assert isinstance(head, CosineHead), "the head was not made by this task"
        told = [self.template.format(self.descriptions[label]) for label in self.label_names]
        vectors = self._vectors(_unlabelled(told), backbone, tokenizer)  # [C, D]
        rows = _some_of_each(examples)
        if rows:
            number = {label: index for index, label in enumerate(self.label_names)}
            owner = torch.tensor([number[one_label(example)] for example in rows])
            own = self._vectors(rows, backbone, tokenizer)
            means = F.normalize(torch.zeros_like(vectors).index_add(0, owner, own), dim=-1)
            vectors = vectors + ROWS_WEIGH * means  # a label without rows keeps its description alone
        head.place(vectors)

    def _vectors(self, examples: Sequence[Example], backbone: Backbone, tokenizer: Tokenizer) -> Tensor:
        """[E, D] of length 1: the mean over the windows of each text."""
        windows = self.encode(examples, tokenizer)
        owner = torch.tensor([window.example for window in windows])
        vectors = torch.from_numpy(sentence_vectors(backbone, windows))
        total = vectors.new_zeros(len(examples), vectors.shape[1]).index_add(0, owner, vectors)
        return F.normalize(total, dim=-1)

    def excess(self, scores: Tensor, batch: Batch) -> Tensor:
        """CE(uniform) - CE(y) of the labels; [M]."""
        assert batch.targets is not None, "a loss needs gold"
        return class_excess(scores, batch.targets)

    def loss(self, output: Output, batch: Batch, *, head: nn.Module) -> Tensor:
        """The weighted sum of cross-entropies over the cosines."""
        assert batch.targets is not None, "a loss needs gold"
        return (batch.weight * class_losses(output.logits, batch.targets)).sum()

    def decode(
        self,
        examples: Sequence[Example],
        encodings: Sequence[Encoding],
        logits: Sequence[Tensor],
        *,
        head: nn.Module,
    ) -> list[Prediction]:
        """The label of each example with the probability of every label in `scores`."""
        if not examples:
            return []
        shares = torch.softmax(averaged(logits, encodings, len(examples)), -1)
        return label_predictions(examples, shares, self.label_names, truncated=unseen(encodings, len(examples)))

    @property
    def main_metric(self) -> str:
        """Accuracy."""
        return "accuracy"

    @property
    def label_names(self) -> tuple[str, ...]:
        """The C labels in logit order."""
        return tuple(self.labels or ())


def readable(label: str) -> str:
    """The name of a label as words: `card_lost` is "card lost"."""
    return " ".join(label.replace("_", " ").split()) or label


def _unlabelled(texts: Sequence[str]) -> list[Example]:
    return [Example(id=str(line), text=text, source=Source("descriptions", line)) for line, text in enumerate(texts, 1)]


def _some_of_each(examples: Sequence[Example]) -> list[Example]:
    """At most `MOST_ROWS` rows of each label, evenly spaced."""
    by_label: defaultdict[str, list[Example]] = defaultdict(list)
    for example in examples:
        if example.gold is not None:
            by_label[one_label(example)].append(example)
    return [
        rows[index * len(rows) // count]
        for rows in by_label.values()
        for count in (min(len(rows), MOST_ROWS),)
        for index in range(count)
    ]
