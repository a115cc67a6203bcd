"""One label of a whole text and the entities in it, from one pass over one backbone: an intent and its slots.

    p(label | text) = softmax(label_head h_s),   p(tag | unit) = softmax(tag_head h_u)
    loss = - a log p(label) - (1 - a) mean over the units of log p(tag),   a = label_share

h_s is the hidden state of a window's first token, its last where the backbone is causal; h_u that of a unit's first
sub-word, or of its last. A long text is read in windows that overlap: their label logits are averaged, and each unit
is answered by the window that shows it with most context.

Every text weighs the same, and its label as much as all of its words together: were words counted one by one, a label
would be one voice among a dozen. Written as a sum over places, a label place counts a / windows and a unit
(1 - a) / units of its text; these weights add up to the weight of the texts, which is what the sum is divided by. So
the gradient does not depend on how a batch is cut, nor on how many words the other texts of a batch have.

When to use it: rows with both kinds of gold, as voice commands or messages with an intent and its values. What a text
asks for and what it names support one another, and one pass answers both. With one kind of gold take
`text_classification` or `token_classification`.
Cost: one pass, as each of the two alone; both heads see every place, which costs a small part of a layer.
Relations: it is those two tasks side by side, and answers as they do; `crf` as in `token_classification`.
Reference: Chen et al. 2019, BERT for Joint Intent Classification and Slot Filling (JointBERT), whose sum of two means
over a batch is this loss up to a factor with a = 1/2, but for texts of unequal length.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal, Self

from pydantic import Field, model_validator
from torch import Tensor, nn

from tunesmith.core.batch import Batch, Encoding
from tunesmith.core.example import Example, LabelAndSpans
from tunesmith.core.model import Backbone, Output
from tunesmith.core.prediction import LabelAndScoredSpans, Prediction, ScoredSpan
from tunesmith.core.task import LabellingTask
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.prepare.alignment import Scheme
from tunesmith.prepare.characters import Level
from tunesmith.tasks._joint_places import (
    JointHead,
    in_order,
    label_places,
    label_windows,
    masked,
    unit_places,
    unit_windows,
    with_label_place,
)
from tunesmith.tasks._labels import unknown_label, unusable
from tunesmith.tasks.text_classification import TextClassification
from tunesmith.tasks.token_classification import TokenClassification


class JointClassification(LabellingTask):
    """A label for each text and entity spans in it. `confidence` is the probability of the label."""

    labels: list[str] | None = None
    """The labels of texts in the order of the logits; read from the training rows where absent."""
    entity_labels: list[str] | None = None
    """Entity types in the order of their classes; read from the training rows where absent."""
    label_share: float = Field(default=0.5, gt=0.0, lt=1.0)
    """How much of a text's loss its label makes; its words share the rest."""
    scheme: Scheme = "BIO"
    """How entities are written as tags: BIO needs fewer classes, BIOES says where an entity ends."""
    units: Literal["auto", "words", "classes", "characters"] = "auto"
    """What carries a tag in a raw text, as for `token_classification`. Words that the file gave are always kept."""
    crf: bool = False
    """Learn how well tags follow one another (conditional random field), beside forbidding what is illegal."""
    max_length: int | None = Field(default=None, ge=8)
    """Tokens of a window with special tokens; the backbone's own limit where it is smaller or nothing is given."""
    stride: int = Field(default=64, ge=0)
    """Tokens that neighbouring windows of a long text share, at most half a window."""

    @model_validator(mode="after")
    def _options_fit(self) -> Self:
        if self.entity_labels is not None and (len({*self.entity_labels, ""}) <= len(self.entity_labels)):
            raise ValueError("entity_labels must be different names")
        return self

    @property
    def main_metric(self) -> str:
        """The share of texts whose label and entities are all right."""
        return "joint_accuracy"

    @property
    def label_names(self) -> tuple[str, ...]:
        """The C classes: labels of texts, then `O` and the marks of each entity type."""
        return (*self._labelling.label_names, *self._tagging.label_names)

    @property
    def level(self) -> Level:
        """How raw texts are cut; words before the task is bound."""
        return self._tagging.level

    def bound(self, examples: Iterable[Example]) -> "JointClassification":
        """The same task with labels, entity types and units read from the training examples.

        Raises:
            DataError: TS-TASK-027 an example without a label and entities; what the two tasks raise.
        """
        rows = list(examples)
        labelling = self._labelling.bound(map(_labelled, rows))
        tagging = self._tagging.bound(map(_tagged, rows))
        read = {"labels": labelling.labels, "entity_labels": tagging.labels, "units": tagging.units}
        return self.model_copy(update=read)

    def encode(self, examples: Sequence[Example], tokenizer: Tokenizer) -> list[Encoding]:
        """Windows of each example in order, in each the place of the label and then those of its units.

        Raises:
            DataError: at the line of an example with gold of another form, or a label that the task does not know.
            ConfigError: the task is not bound, or its window has no room.
        """
        windows = self._tagging.encode([e if e.gold is None else _tagged(e) for e in examples], tokenizer)
        targets = [self._target(example) for example in examples]
        shown = Counter(window.example for window in windows)
        units = Counter[int]()
        for window in windows:
            units[window.example] += len(window.places)
        return [
            with_label_place(
                window,
                labels=self._labels,
                target=targets[window.example],
                weight=self.label_share * examples[window.example].weight / shown[window.example],
                unit_weight=(1 - self.label_share) * examples[window.example].weight / units[window.example],
                causal=tokenizer.causal,
            )
            for window in windows
        ]

    def head(self, backbone: Backbone) -> nn.Module:
        """The heads of the two tasks, as `labels` and `tags`: [M, D] to [M, C]."""
        return JointHead(self._labelling.head(backbone), self._tagging.head(backbone))

    def scores(self, output: Output, batch: Batch) -> Tensor:
        """[M, C] logits in which a place of one kind gives the classes of the other no chance."""
        return masked(output.logits, batch, labels=self._labels)

    def excess(self, scores: Tensor, batch: Batch) -> Tensor:
        """CE(uniform) - CE(y) of the labels at label places and of the tags elsewhere; [M]."""
        whole, units = label_places(batch), unit_places(batch, labels=self._labels)
        of_labels = self._labelling.excess(scores[whole.rows, : self._labels], whole.batch)
        of_units = self._tagging.excess(scores[units.rows, self._labels :], units.batch)
        return in_order((whole, of_labels), (units, of_units))

    def loss(self, output: Output, batch: Batch, *, head: nn.Module) -> Tensor:
        """The weighted SUM over the places of both kinds: the losses of the two tasks, each at its own places."""
        whole, units = label_places(batch), unit_places(batch, labels=self._labels)
        labels, tags = head.get_submodule("labels"), head.get_submodule("tags")
        of_labels = self._labelling.loss(Output(output.hidden[whole.rows], labels), whole.batch, head=labels)
        of_units = self._tagging.loss(Output(output.hidden[units.rows], tags), units.batch, head=tags)
        return of_labels + of_units

    def decode(
        self,
        examples: Sequence[Example],
        encodings: Sequence[Encoding],
        logits: Sequence[Tensor],
        *,
        head: nn.Module,
    ) -> list[Prediction]:
        """The label of each example with the probability of every label in `scores`, and its entities."""
        asked = [replace(example, gold=None) for example in examples]
        labels, tags = head.get_submodule("labels"), head.get_submodule("tags")
        of_labels = [rows[:1, : self._labels] for rows in logits]
        of_units = [rows[1:, self._labels :] for rows in logits]
        said = self._labelling.decode(asked, label_windows(encodings), of_labels, head=labels)
        found = self._tagging.decode(asked, unit_windows(encodings), of_units, head=tags)
        return [_answer(*row) for row in zip(examples, said, found, strict=True)]

    @property
    def _labels(self) -> int:
        return len(self.labels or ())

    @property
    def _labelling(self) -> TextClassification:
        return TextClassification(labels=self.labels, multi_label=False, max_length=self.max_length, stride=self.stride)

    @property
    def _tagging(self) -> TokenClassification:
        return TokenClassification(
            labels=self.entity_labels,
            scheme=self.scheme,
            units=self.units,
            max_length=self.max_length,
            stride=self.stride,
            crf=self.crf,
        )

    def _target(self, example: Example) -> int | None:
        if example.gold is None:
            return None
        label = _gold_of(example).label
        if label not in (self.labels or ()):
            raise unknown_label(example, label)
        return (self.labels or []).index(label)


def _gold_of(example: Example) -> LabelAndSpans:
    """The gold of an example.

    Raises:
        DataError: it is of another form, or there is none.
    """
    if isinstance(example.gold, LabelAndSpans):
        return example.gold
    raise unusable(
        example,
        "this row does not carry both a label and entities",
        code="TS-TASK-027",
        fix="give both (an empty list of entities where there is none), or choose a task that reads one of them.",
    )


def _labelled(example: Example) -> Example:
    """The example as the task of labels reads it."""
    return replace(example, gold=_gold_of(example).label)


def _tagged(example: Example) -> Example:
    """The example as the task of entities reads it."""
    return replace(example, gold=_gold_of(example).spans)


def _answer(example: Example, label: Prediction, entities: Prediction) -> Prediction:
    """Both answers as one."""
    found = entities.predicted if isinstance(entities.predicted, tuple) else ()
    spans = tuple(item for item in found if isinstance(item, ScoredSpan))
    return Prediction.about(
        example,
        LabelAndScoredSpans(str(label.predicted), spans),
        confidence=label.confidence,
        scores=label.scores,
        truncated=entities.truncated,
    )
