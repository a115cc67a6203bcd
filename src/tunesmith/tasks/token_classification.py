"""Entities: every word (or character) of a text carries one tag, and runs of tags are entity spans.

    p(tag | unit) = softmax(W h + b),  h the hidden state of the unit's first sub-word; the answer is the best sequence
    of tags that the scheme allows (Viterbi)

When to use it: names, slots, values, terms: whatever is a stretch of the text, without nesting or overlap.
Cost: a linear layer of width x C, C = 1 + 2 (BIO) or 4 (BIOES) times the labels; a CRF adds C x C parameters and
makes the loss sequential.
Relations: extractive questions ask for one stretch; text_classification labels the whole text.
Reference: Ramshaw and Marcus 1995 (BIO); Lample et al. 2016 (CRF head); Devlin et al. 2019 (first sub-word).
"""

import difflib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor, nn

from tunesmith.core.batch import Batch, Encoding
from tunesmith.core.errors import ConfigError, DataError, Place
from tunesmith.core.example import Example, Span
from tunesmith.core.model import Backbone, Output
from tunesmith.core.prediction import Prediction
from tunesmith.core.task import LabellingTask
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.models.dropout import Dropout
from tunesmith.models.heads import token_head
from tunesmith.prepare.alignment import Scheme, Unit, place, tags_of, units_of_example
from tunesmith.prepare.certificate import spans_in
from tunesmith.prepare.characters import Level
from tunesmith.prepare.unit_level import LevelChoice
from tunesmith.tasks._crf import Crf
from tunesmith.tasks._labels import fitting
from tunesmith.tasks._losses import class_excess, class_losses
from tunesmith.tasks._scored_spans import scored_spans
from tunesmith.tasks._tags import TagSet, balanced_weights, classes_of, tag_set
from tunesmith.tasks._unit_windows import Frame, cut_texts


class TokenClassification(LabellingTask):
    """Entity spans by tagging units. A span's confidence is the mean posterior probability of its tags."""

    labels: list[str] | None = None
    """Entity types in the order of their classes; read from the training rows where absent."""
    scheme: Scheme = "BIO"
    """How entities are written as tags: BIO needs fewer classes, BIOES says where an entity ends."""
    units: Literal["auto", "words", "classes", "characters"] = "auto"
    """What carries a tag in a raw text: words, words cut where the character class changes, or single characters.
    `auto` takes the coarsest at which the training entities survive. Words that the file gave are always kept."""
    max_length: int | None = Field(default=None, ge=8)
    """Tokens of a window with special tokens; the backbone's own limit where it is smaller or nothing is given."""
    stride: int = Field(default=64, ge=0)
    """Tokens that neighbouring windows of a long text share, at most half a window."""
    crf: bool = False
    """Learn how well tags follow one another (conditional random field), beside forbidding what is illegal."""
    class_weights: Literal["none", "balanced"] | list[float] = "none"
    """How much each tag counts in the loss: `balanced` weighs rare tags up (at most tenfold), or a number for each."""
    focal_gamma: float = Field(default=0.0, ge=0.0, le=10.0)
    """Focal loss: above 0, tags that are already predicted well count less. 2 is usual."""
    dropout: float | None = Field(default=None, ge=0.0, lt=1.0)
    """Dropout before the classifier; that of the checkpoint where nothing is given."""

    @model_validator(mode="after")
    def _options_fit(self) -> Self:
        if self.crf and (self.focal_gamma or self.class_weights != "none"):
            raise ValueError("crf scores whole sequences: it goes with neither focal_gamma nor class_weights")
        if self.labels is not None and (len({*self.labels, ""}) <= len(self.labels) or not self.labels):
            raise ValueError("labels must be one or more different names")
        if self.labels and isinstance(self.class_weights, list) and len(self.class_weights) != len(self.label_names):
            raise ValueError(f"class_weights needs {len(self.label_names)} numbers: {', '.join(self.label_names)}")
        return self

    @property
    def main_metric(self) -> str:
        """Strict span F1."""
        return "span_f1"

    @property
    def label_names(self) -> tuple[str, ...]:
        """The C tags: `O`, then each label's marks."""
        return self._tags.names

    @property
    def level(self) -> Level:
        """How raw texts are cut; words before the task is bound."""
        return "words" if self.units == "auto" else self.units

    @property
    def _tags(self) -> TagSet:
        return tag_set(tuple(self.labels or ()), self.scheme)

    def bound(self, examples: Iterable[Example]) -> "TokenClassification":
        """The same task with labels, units and class weights read from the training examples, which are read once.

        Raises:
            DataError: TS-TASK-010 an example without entity spans, TS-TASK-011 a label that a given list lacks,
                TS-TASK-012 no entity at all.
            ConfigError: TS-TASK-025 class weights that are not one above 0 for each tag.
        """
        seen: set[str] = set()
        choice = LevelChoice()
        kept: list[Example] = []
        for example in examples:
            _require_spans(example)
            seen.update(span.label for span in spans_in(example))
            if self.labels:
                self._require_known(example)
            if self.units == "auto":
                choice.see(example)
            if self.class_weights == "balanced":
                kept.append(example)
        if not seen and not self.labels:
            raise DataError(
                "the training data holds no entity",
                code="TS-TASK-012",
                fix="check that the column of tags or entities was read, or choose another task.",
            )
        filled = self.model_copy(
            update={
                "labels": self.labels or sorted(seen),
                "units": choice.level() if self.units == "auto" else self.units,
            }
        )
        if isinstance(self.class_weights, list):
            fitting(self.class_weights, len(filled.label_names))
        if self.class_weights != "balanced":
            return filled
        counts = Counter(tag for example in kept for tag in filled._tags_of(example))
        return filled.model_copy(update={"class_weights": balanced_weights(counts, filled.label_names)})

    def encode(self, examples: Sequence[Example], tokenizer: Tokenizer) -> list[Encoding]:
        """Windows of each example in order; every unit has one place, in the window that shows it with most context.

        A text without units (blank) gives no window.

        Raises:
            DataError: TS-TASK-010, TS-TASK-011, as for `bound`.
            ConfigError: the task is not bound, or its window has no room.
        """
        if not self.labels:
            raise ConfigError(
                "the task does not know its labels", code="TS-TASK-013", place=Place(key="task.labels"),
                fix="give labels, or call bound(training examples) first.",
            )  # fmt: skip
        encodings: list[Encoding] = []
        cuts = cut_texts(examples, tokenizer, self._frame(tokenizer), level=self.level)
        for example, cut in zip(examples, cuts, strict=True):
            targets = self._targets(example, cut.units)
            for window in cut.windows:
                last = window.first + len(window.places)
                encodings.append(
                    Encoding(
                        example=window.example,
                        input_ids=window.input_ids,
                        segment_ids=None,
                        places=window.places,
                        units=np.arange(window.first, last, dtype=np.int32),
                        targets=None if targets is None else targets[window.first : last],
                        weight=example.weight,
                        truncated=window.truncated,
                    )
                )
        return encodings

    def head(self, backbone: Backbone) -> nn.Module:
        """Dropout and a linear layer; with `crf`, the transitions beside them as `crf.transitions` [C, C]."""
        head = token_head(backbone, len(self.label_names))
        if self.dropout is not None:
            for module in head.modules():
                if isinstance(module, Dropout):
                    module.probability = self.dropout
        if self.crf:
            head.add_module("crf", Crf(torch.from_numpy(self._tags.step)))
        return head

    def excess(self, scores: Tensor, batch: Batch) -> Tensor:
        """CE(uniform) - CE(y) of the tags, under a CRF of its emissions; [M]."""
        assert batch.targets is not None, "a loss needs gold"
        return class_excess(scores, batch.targets)

    def loss(self, output: Output, batch: Batch, *, head: nn.Module) -> Tensor:
        """The SUM over places of weighted cross-entropy, or over windows of the CRF's negative log-likelihood."""
        if batch.targets is None:
            raise ValueError("a loss needs targets: encode labelled examples")
        if not self.crf:
            weights = self.class_weights if isinstance(self.class_weights, list) else None
            losses = class_losses(output.logits, batch.targets, gamma=self.focal_gamma, class_weights=weights)
            return (batch.weight * losses).sum()
        if not len(batch.targets):
            return output.logits.sum()
        emissions = output.logits.to(torch.promote_types(output.logits.dtype, torch.float32))
        losses = _crf_of(head).negative_log_likelihood(emissions, batch.targets, batch.place_counts)
        firsts = torch.tensor([0, *batch.place_counts]).cumsum(0)[:-1][torch.tensor(batch.place_counts) > 0]
        return (losses * batch.weight[firsts.to(batch.weight.device)]).sum()

    def decode(
        self, examples: Sequence[Example], encodings: Sequence[Encoding], logits: Sequence[Tensor], *, head: nn.Module
    ) -> list[Prediction]:
        """The entities of each example in order, each with the mean posterior probability of its tags."""
        units = [units_of_example(example, self.level) for example in examples]
        learned = _crf_of(head).transitions.detach().cpu().double().numpy() if self.crf else None
        rows = _rows(units, encodings, logits, len(self.label_names))
        found = scored_spans(units, rows, self._tags, labels=self.labels or (), transitions=learned)
        truncated = Counter[int]()
        for encoding in encodings:
            truncated[encoding.example] += encoding.truncated
        return [
            Prediction.about(example, spans, truncated=truncated[index])
            for index, (example, spans) in enumerate(zip(examples, found, strict=True))
        ]

    def _frame(self, tokenizer: Tokenizer) -> Frame:
        window = min(self.max_length or tokenizer.max_length, tokenizer.max_length)
        room = window - (tokenizer.max_length - tokenizer.room)
        if room < 1:
            raise ConfigError(
                f"a window of {window} tokens has no room beside its special tokens",
                code="TS-TASK-014",
                place=Place(key="task.max_length"),
                fix="make it larger.",
            )
        prefix, suffix = tokenizer.framing.prefix, tokenizer.framing.suffix
        overlap = min(self.stride, room // 2)
        ends = np.array(prefix, dtype=np.int32), np.array(suffix, dtype=np.int32)
        return Frame(*ends, room, overlap, tokenizer.causal)

    def _targets(self, example: Example, units: Sequence[Unit]) -> NDArray[np.int64] | None:
        """[units] classes, or None for an unlabelled example."""
        if example.gold is None:
            return None
        _require_spans(example)
        self._require_known(example)
        labels = self.labels or []
        targets = np.zeros(len(units), dtype=np.int64)
        for first, last, span in place(spans_in(example), units)[0]:
            targets[first:last] = classes_of(last - first, labels.index(span.label), self.scheme)
        return targets

    def _tags_of(self, example: Example) -> list[str]:
        return tags_of(spans_in(example), units_of_example(example, self.level), self.scheme)[0]

    def _require_known(self, example: Example) -> None:
        labels = self.labels or []
        for span in spans_in(example):
            if span.label not in labels:
                near = difflib.get_close_matches(span.label, labels, n=1)
                raise DataError(
                    f"the label {span.label!r} is not one of the task's: {', '.join(labels)}",
                    code="TS-TASK-011",
                    place=Place(file=example.source.file, line=example.source.line),
                    fix=(f"did you mean {near[0]!r}? " if near else "") + "Correct the row or add it to task.labels.",
                )


def _require_spans(example: Example) -> None:
    gold = example.gold
    if not isinstance(gold, tuple) or not all(isinstance(item, Span) for item in gold):
        raise DataError(
            "this example has no entity spans",
            code="TS-TASK-010",
            place=Place(file=example.source.file, line=example.source.line),
            fix="give its entities or tags (an empty list where there is none), or choose another task.",
        )


def _crf_of(head: nn.Module) -> Crf:
    crf = head.get_submodule("crf")
    if not isinstance(crf, Crf):
        raise TypeError("the head was not made by this task")
    return crf


def _rows(
    units: Sequence[Sequence[Unit]], encodings: Sequence[Encoding], logits: Sequence[Tensor], classes: int
) -> NDArray[np.float64]:
    """[N, C] the scores of all units laid end to end; zero, hence `O`, for a unit that no window shows."""
    starts = np.cumsum([0, *(len(own) for own in units)])
    rows = np.zeros((int(starts[-1]), classes))
    if encodings:
        where = np.concatenate([starts[encoding.example] + encoding.units for encoding in encodings])
        rows[where] = torch.cat(list(logits)).double().cpu().numpy()
    return rows
