"""One label for a text, read off what a pretrained language head would write into a blank.

    template   "{text} All in all, it was [blank]."        verbalizer   positive = "great", negative = "terrible"
    log p(w)   = sum over the tokens of word w, in the blank          score_c = log sum over the words of c of p(w)
    answer     = argmax_c  score_c - prior_c                          loss = -log softmax(score - prior)_y

causal models   p(w) is the probability of the word and of what follows the blank, given the prompt: a model that
                reads from left to right can only say by it whether the rest fits. A template that ends with its blank
                and words of one token cost one pass a text; else there is a sequence for each longest beginning of a
                word.
masked models   p(w) fills the n masks of a word of n tokens from left to right and sees what follows. There is one
                sequence for each state of the blank, and one in all where every word is one token.

A long text is cut, never the template, and what is cut counts as truncated. A word that begins another is never less
likely than that: `per_token` compares words of unlike lengths by their mean log p. Priors, where a calibration asks for
them, are what the untuned model says without a text; they stay as they are while the model is tuned.

When to use it: no labelled row or a few dozen, and a backbone that was pretrained to write or to fill masks. With
hundreds of rows `text_classification` is as good and less to think about.
Cost: no new parameter; a pass a text, longer by template and demonstrations, and the words' rows of the output matrix.
Relations: `text_classification` learns a head from nothing.
Reference: Schick & Schütze 2021 (PET: template, verbalizer); Gao et al. 2021 (LM-BFF: demonstrations, tuning); Zhao et
al. 2021, Calibrate before use (`contextual`); Holtzman et al. 2021, Surface form competition (`pmi`); Zhou et al. 2024,
Batch calibration (`batch`).
"""

from collections.abc import Iterable, Sequence
from typing import Literal, Self

import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor

from tunesmith.core.batch import Batch, Encoding
from tunesmith.core.errors import ConfigError, Place
from tunesmith.core.example import Example
from tunesmith.core.model import Backbone, Model, Output
from tunesmith.core.prediction import Prediction
from tunesmith.core.task import LabellingTask
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.models.cloze_head import ClozeHead
from tunesmith.models.inference import logits_of
from tunesmith.models.masked_head import blank_head
from tunesmith.tasks._answers import label_predictions
from tunesmith.tasks._calibration import Calibration, log_priors, premises
from tunesmith.tasks._cloze_remarks import at_the_blank, over_orders, some
from tunesmith.tasks._cloze_windows import ClozeWindows, Shown
from tunesmith.tasks._demonstrations import Demonstration, Shelf, kept
from tunesmith.tasks._labels import as_one, inventory, one_label, unknown_label, unusable
from tunesmith.tasks._losses import class_excess, class_losses
from tunesmith.tasks._sequence import averaged, chunks, unseen
from tunesmith.tasks._template import Template, default_template, parsed, words_of
from tunesmith.tasks._verbalizer import Asked, Words, asked_causal, asked_masked, label_words, word_ids


class ClozeClassification(LabellingTask):
    """One label per text, by the word that fits a blank best."""

    labels: list[str] | None = None
    """The label names in the order of the logits; read from the training rows where absent."""
    template: str | None = None
    """The text, or two, with words around them and a blank: "{text} All in all, it was [blank]." Where absent:
    "{text} Category: [blank]." for masked models; for causal ones on a line of its own, and it ends with the blank."""
    verbalizer: Words = Field(default={})
    """What a label is called in the blank: a word or several, by label. Its name, with blanks for underscores, where
    absent."""
    several_words: Literal["sum", "mean"] = "sum"
    """How the words of a label make one score: the log of their summed probabilities, or their mean log p."""
    per_token: bool = False
    """Whether log p of a word is divided by its tokens, so that longer words are not less likely for their length."""
    calibration: Calibration = "contextual"
    """What is taken off the scores: "contextual" what the model says of texts that say nothing, "pmi" of a premise,
    "batch" the mean of what it says of training texts; or "none". No label is looked at."""
    content_free: list[str] | None = Field(default=None, min_length=1)
    """What stands in the place of the text: "N/A", nothing and "[MASK]" for "contextual", nothing for "pmi" where
    absent."""
    demonstrations: int = Field(default=0, ge=0, le=16)
    """Solved training rows before each text, of every label in turn, those most like it; as many of them as fit."""
    max_length: int | None = Field(default=None, ge=8)
    """Tokens of a sequence with special tokens; the backbone's own limit where it is smaller or nothing is given."""
    shelf: list[Demonstration] | None = None
    """The rows that demonstrations are chosen from; at most 64 of the training rows where absent. A bundle keeps them,
    with their texts."""
    word_ids: list[list[list[int]]] | None = None
    """Token ids of each word of each label, with those behind the blank for a causal model; read from the tokenizer."""
    priors: list[float] | None = None
    """Log prior of each label, taken off its score; measured before training where `calibration` asks for it."""

    @field_validator("template")
    @classmethod
    def _has_its_slots(cls, template: str | None) -> str | None:
        if template is not None:
            parsed(template)
        return template

    @model_validator(mode="after")
    def _options_fit(self) -> Self:
        if self.labels:
            label_words(self.verbalizer, self.labels)
        if self.calibration == "pmi" and len(self.content_free or ()) > 1:
            raise ValueError("pmi has one premise: give content_free one text")
        for name, read in (("word_ids", self.word_ids), ("priors", self.priors)):
            if read is not None and self.labels is not None and len(read) != len(self.labels):
                raise ValueError(f"{name} need labels, one for each")
        return self

    @property
    def rows(self) -> str:
        """Texts with a label, or pairs with one where the template shows both."""
        return "pair_matching" if self.template and parsed(self.template).pairs else super().rows

    @property
    def answers_untrained(self) -> bool:
        """Its head is the pretrained one."""
        return True

    def bound(self, examples: Iterable[Example]) -> "ClozeClassification":
        """Labels, their words and the rows for demonstrations, filled in from training examples.

        Raises:
            DataError: at the line of an example without a usable label or whose texts the template does not show; fewer
                than two labels in all.
            ConfigError: words for a label that is not there, or one word for two labels.
        """
        rows = [self._fitting(example) for example in examples]
        labels = inventory(rows, given=self.labels, several=False).labels
        words = label_words(self.verbalizer, labels)
        read = {"labels": labels, "verbalizer": {label: list(own) for label, own in words.items()}}
        shelf = self.shelf
        if self.demonstrations and shelf is None:
            shelf = kept(rows, labels)
        return self.model_copy(update=read | {"shelf": shelf})

    def fitted(self, backbone: Backbone, tokenizer: Tokenizer, *, examples: Sequence[Example]) -> "ClozeClassification":
        """Template, tokens of the words and priors, filled in from the backbone.

        Raises:
            ConfigError: the backbone has no head that fills blanks, a word has no tokens, or a causal model is to read
                the text after the blank.
        """
        given = self.template or default_template(causal=backbone.causal)
        template = parsed(given)
        if backbone.causal and any(part.kind != "words" for part in template.after):
            raise ConfigError(
                "a causal model fills the blank before it has read the text behind it",
                code="TS-TASK-065",
                place=Place(key="task.template"),
                fix="put {text} and {pair} before [blank].",
            )
        words = {label: [own] if isinstance(own, str) else own for label, own in self.verbalizer.items()}
        ids = word_ids(words, tokenizer, spaced=template.spaced)
        rest = [token for part in template.after for token in words_of(part, tokenizer, begins=False)]
        ends = rest if backbone.causal else []
        read = {"template": given, "word_ids": [[[*word, *ends] for word in own] for own in ids], "priors": self.priors}
        task = self.model_copy(update=read)
        if self.calibration == "none" or self.priors is not None:
            return task
        inputs = premises(self.calibration, examples, content_free=self.content_free, pairs=template.pairs)
        priors = log_priors(Model(backbone, task.head(backbone)), task.encode(inputs, tokenizer))
        return task.model_copy(update={"priors": priors})

    def asked(self, example: Example) -> Example:
        """One bare label."""
        return as_one(example)

    def encode(self, examples: Sequence[Example], tokenizer: Tokenizer, *, order: int = 0) -> list[Encoding]:
        """One window for each example; `truncated` counts the characters that did not fit.

        `order` 0: the demonstration most like the text last; another number draws a random order.

        Raises:
            DataError: at the line of an example whose label the task does not know or whose texts the template does not
                show.
            ConfigError: the template leaves no room for a text.
        """
        index = {label: number for number, label in enumerate(self.label_names)}
        template, asked = self._template, self._nodes(causal=tokenizer.causal)
        windows = ClozeWindows(template, asked, tokenizer, max_length=self.max_length)
        shelf, solved = None, []
        if self.demonstrations and self.shelf:
            shelf = Shelf(self.shelf, self.label_names)
            first = {label: [own] if isinstance(own, str) else own[:1] for label, own in self.verbalizer.items()}
            words = word_ids(first, tokenizer, spaced=template.spaced)
            solved = windows.demonstrations(
                self.shelf, {label: own[0] for label, own in zip(first, words, strict=True)}
            )
        encodings: list[Encoding] = []
        for part in chunks(enumerate(examples)):
            read = windows.texts([self._fitting(example) for _, example in part])
            for (number, example), (text, pair) in zip(part, read, strict=True):
                ahead = shelf.chosen(example, self.demonstrations, order=order) if shelf else []
                shown = Shown(example, text, pair, [solved[index] for index in ahead])
                encodings.append(windows.window(number, shown, label=_label(example, index)))
        return encodings

    def head(self, backbone: Backbone) -> ClozeHead:
        """The pretrained head of the backbone, asked for the words: [M, D] to [M, C].

        Raises:
            ConfigError: the backbone has none.
        """
        return ClozeHead(
            blank_head(backbone),
            self._nodes(causal=backbone.causal).candidates,
            mean=self.several_words == "mean",
            per_token=self.per_token,
            priors=self.priors,
        )

    def excess(self, scores: Tensor, batch: Batch) -> Tensor:
        """CE(uniform) - CE(y) of the labels; [M]."""
        assert batch.targets is not None, "a loss needs gold"
        return class_excess(scores, batch.targets)

    def loss(self, output: Output, batch: Batch, *, head: torch.nn.Module) -> Tensor:
        """The weighted sum of cross-entropies over the labels' scores."""
        assert batch.targets is not None, "a loss needs gold"
        return (batch.weight * class_losses(output.logits, batch.targets)).sum()

    def decode(
        self,
        examples: Sequence[Example],
        encodings: Sequence[Encoding],
        logits: Sequence[Tensor],
        *,
        head: torch.nn.Module,
    ) -> list[Prediction]:
        """The label of each example with the probability of every label in `scores`."""
        if not examples:
            return []
        means = averaged([rows.mean(0, keepdim=True) for rows in logits], encodings, len(examples))
        shares = torch.softmax(means, -1)
        return label_predictions(examples, shares, self.label_names, truncated=unseen(encodings, len(examples)))

    def remarks(self, model: Model, examples: Sequence[Example], *, tokenizer: Tokenizer) -> tuple[str, ...]:
        """The priors, what the model would write into the blank, and how far the order of demonstrations matters."""
        rows = some(examples)
        golds = [one_label(row) for row in rows]
        found = list(at_the_blank(model, self.encode(rows, tokenizer), golds, tokenizer=tokenizer))
        if self.priors is not None:
            shares = torch.tensor(self.priors).softmax(-1).tolist()
            said = ", ".join(f"{label} {share:.1%}" for label, share in zip(self.label_names, shares, strict=True))
            found.append(f"calibration {self.calibration}: taken off what the model says without a text, {said}")

        def answers(order: int) -> list[Prediction]:
            windows = self.encode(rows, tokenizer, order=order)
            return self.decode(rows, windows, [logits for _, logits in logits_of(model, windows)], head=model.head)

        return (*found, over_orders(answers)) if self.demonstrations else tuple(found)

    @property
    def main_metric(self) -> str:
        """Accuracy."""
        return "accuracy"

    @property
    def label_names(self) -> tuple[str, ...]:
        """The C labels in logit order."""
        return tuple(self.labels or ())

    @property
    def _template(self) -> Template:
        """The template, which is known once the task was fitted."""
        assert self.template is not None, "the task was not fitted to a backbone"
        return parsed(self.template)

    def _nodes(self, *, causal: bool) -> Asked:
        """The states of the blank that are asked for, known once the task was fitted."""
        assert self.word_ids is not None, "the task was not fitted to a backbone"
        return asked_causal(self.word_ids) if causal else asked_masked(self.word_ids)

    def _fitting(self, example: Example) -> Example:
        """The example, whose texts must be those that the template shows."""
        pairs = self.template is not None and parsed(self.template).pairs
        if pairs == (example.pair is not None):
            return example
        has, slot = ("no second text", "shows one") if pairs else ("a second text", "does not show it")
        raise unusable(
            example,
            f"the row has {has}, and the template {slot}",
            code="TS-TASK-066",
            fix="take {pair} out of task.template, or name the column of the second text (data.pair)."
            if pairs
            else "write {pair} into task.template where the second text goes.",
        )


def _label(example: Example, index: dict[str, int]) -> int | None:
    if example.gold is None:
        return None
    name = one_label(example)
    if name not in index:
        raise unknown_label(example, name)
    return index[name]
