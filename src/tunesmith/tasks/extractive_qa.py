"""Questions about a text, answered with a stretch of the text, or with none where the text holds no answer.

    P(first = i) = softmax over the places of a window of  w_S . h_i          likewise P(last = j) with w_E
    loss         = - (log P(first = i*) + log P(last = j*)) / 2               for each window, which counts 1 / windows

The question and a part of the text stand in one window: `[CLS] question [SEP] part [SEP]`. A long text is read in parts
that overlap. A part that does not show the whole answer points to the first token, and so does every part where there
is no answer (the last token for a causal model). Of several references the one given most often is learnt. An answer
consists of whole units: words, or single Chinese characters. A question about a long text weighs no more than one about
a short text: its windows share the weight.

When to use it: what the text says in so many words: names, dates, reasons, clauses. Not for answers that must be worded
anew, nor for searching many texts, since every text needs its passes.
Cost: a linear layer of width x 2; one forward pass a window.
Relations: `token_classification` marks every entity without being asked; `pair_matching` classifies two texts.
Reference: Rajpurkar et al. 2016 (SQuAD); Devlin et al. 2019, BERT, sections 4.2 and 4.3 (no answer, threshold).
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from tunesmith.core.batch import Batch, Encoding
from tunesmith.core.errors import ConfigError, DataError, Place
from tunesmith.core.example import Example, Span
from tunesmith.core.model import Backbone, Output
from tunesmith.core.prediction import Prediction, ScoredSpan
from tunesmith.core.task import LabellingTask
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.models.heads import answer_head
from tunesmith.prepare.alignment import Unit, place, units_of
from tunesmith.prepare.characters import Level
from tunesmith.tasks._answer_spans import EVEN, Verdict, tuned_threshold, verdict
from tunesmith.tasks._answer_windows import AnswerWindow, Reading, asked_texts
from tunesmith.tasks._labels import unusable
from tunesmith.tasks._losses import at_least_fp32
from tunesmith.tasks._sequence import unseen

ANSWER = "answer"
"""The label of every span."""
SHORTEST_LIMIT = 30
"""Units that an answer may always have (as in the reference implementation), however short those of training are."""
_LEAST_ROOM = 4
"""Tokens beside the special ones without which neither a question nor a part of a text can be shown."""


class ExtractiveQa(LabellingTask):
    """The stretch of a text that answers a question, or nothing. Its confidence is its probability among the best."""

    no_answer: bool | None = None
    """Whether a text may hold no answer; read from the training rows where absent."""
    no_answer_threshold: float | None = Field(default=None, ge=0.0, le=1.0)
    """The share of the probability, against that of no answer, from which an answer is given; tuned on dev, 0.5 where
    absent."""
    max_answer_length: int | None = Field(default=None, ge=1)
    """Units (words, Chinese characters) of the longest answer; that of the training rows, but no less than 30, where
    absent."""
    units: Level = "words"
    """What answers consist of: words, words cut where the character class changes, or single characters."""
    max_length: int | None = Field(default=None, ge=8)
    """Tokens of a window with special tokens; the backbone's own limit where it is smaller or nothing is given."""
    stride: int = Field(default=128, ge=0)
    """Tokens that neighbouring windows of a long text share, at most half of what a window shows of it."""

    def bound(self, examples: Iterable[Example]) -> "ExtractiveQa":
        """The same task with what it reads from the training examples, which are read once.

        Raises:
            DataError: TS-TASK-040 an example without a question, TS-TASK-041 one whose gold is not a list of answers,
                TS-TASK-042 no row with an answer to read anything from.
        """
        longest, lacking, answered = 0, False, False
        for example in examples:
            spans = _answers(_asked(example))
            if spans is None:
                continue
            lacking |= not spans
            answered |= bool(spans)
            if spans and self.max_answer_length is None:
                reach = max(spans, key=lambda span: span.end - span.start)
                longest = max(longest, len(units_of(example.text[reach.start : reach.end], self.units)))
        if not answered and None in (self.no_answer, self.max_answer_length):
            raise DataError(
                "no training row carries an answer", code="TS-TASK-042", fix="give rows whose answers are known."
            )
        return self.model_copy(
            update={
                "no_answer": lacking if self.no_answer is None else self.no_answer,
                "max_answer_length": self.max_answer_length or max(longest, SHORTEST_LIMIT),
            }
        )

    def encode(self, examples: Sequence[Example], tokenizer: Tokenizer) -> list[Encoding]:
        """Windows of each example in order, at least one.

        A question is cut where it would leave less than half a window to the text; its lost characters are counted.

        Raises:
            DataError: TS-TASK-040, TS-TASK-041, as for `bound`.
            ConfigError: a window has no room.
        """
        reading = self._reading(tokenizer)
        encodings: list[Encoding] = []
        asked = asked_texts([_asked(example) for example in examples], tokenizer, reading)
        for number, (example, text) in enumerate(zip(examples, asked, strict=True)):
            answer = _wanted(example, text.units)
            for window in text.windows:
                segments = np.zeros(len(window.input_ids), np.int8) if tokenizer.framing.segments else None
                if segments is not None:
                    segments[len(segments) - window.second :] = 1
                encodings.append(
                    Encoding(
                        example=number,
                        input_ids=window.input_ids,
                        segment_ids=segments,
                        places=window.places,
                        units=window.units,
                        targets=None if answer is None else _targets(window, answer),
                        weight=example.weight / len(text.windows),
                        truncated=window.truncated,
                    )
                )
        return encodings

    def head(self, backbone: Backbone) -> nn.Module:
        """One linear layer: [M, D] to [M, 2]."""
        return answer_head(backbone)

    def count(self, batch: Batch) -> float:
        """The weight of the windows."""
        counts = _counts(batch)
        return float(batch.weight[counts.cumsum(0) - counts].sum())

    def scores(self, output: Output, batch: Batch) -> Tensor:
        """Log probabilities [M, 2] of each place being the first and the last of the answer in its window."""
        logits = at_least_fp32(output.logits)
        windows = [rows for rows in torch.split(logits, list(batch.place_counts)) if len(rows)]
        if not windows:
            return logits
        totals = pad_sequence(windows, batch_first=True, padding_value=-torch.inf).logsumexp(1)  # [S, 2]
        return logits - totals.repeat_interleave(_counts(batch), 0, output_size=len(logits))

    def divergence(self, first: Tensor, second: Tensor) -> Tensor:
        """What each place adds to the mean KL of the two distributions over its window, [M]."""
        return (first.exp() * (first - second)).sum(-1) / 2

    def excess(self, scores: Tensor, batch: Batch) -> Tensor:
        """What each place adds to the mean CE(uniform over its window) - CE(y) of first and last token, [M]."""
        assert batch.targets is not None, "a loss needs gold"
        uniform = (1 / _counts(batch)).repeat_interleave(_counts(batch), 0, output_size=len(scores))
        return ((batch.targets - uniform[:, None]) * scores).sum(-1) / 2

    def loss(self, output: Output, batch: Batch, *, head: nn.Module) -> Tensor:
        """The weighted SUM over the windows of the mean cross-entropy of first and last token."""
        if batch.targets is None:
            raise ValueError("a loss needs targets: encode labelled examples")
        picked = (batch.targets * self.scores(output, batch)).sum(-1)
        return -(batch.weight * picked).sum() / 2

    def decode(
        self, examples: Sequence[Example], encodings: Sequence[Encoding], logits: Sequence[Tensor], *, head: nn.Module
    ) -> list[Prediction]:
        """The best answer of each question, or none. `confidence` is the probability of what was said."""
        windows: list[list[tuple[NDArray[np.int32], NDArray[np.float64]]]] = [[] for _ in examples]
        for encoding, rows in zip(encodings, logits, strict=True):
            windows[encoding.example].append((encoding.units, rows.double().cpu().numpy()))
        longest = self.max_answer_length or SHORTEST_LIMIT
        truncated = unseen(encodings, len(examples))
        units: dict[str, Sequence[Unit]] = {}
        found = []
        for example, own, cut in zip(examples, windows, truncated, strict=True):
            if example.text not in units:
                units[example.text] = units_of(example.text, self.units)
            best = verdict(own, longest=longest, may_lack=bool(self.no_answer))
            found.append(self._said(example, best, units[example.text], truncated=cut))
        return found

    def tuned(self, predictions: Sequence[Prediction]) -> "ExtractiveQa":
        """The same task with the threshold that suits dev predictions, where questions may lack an answer."""
        if not self.no_answer:
            return self
        return self.model_copy(update={"no_answer_threshold": tuned_threshold(predictions)})

    @property
    def main_metric(self) -> str:
        """Token F1 with the nearest reference."""
        return "f1"

    @property
    def label_names(self) -> tuple[str, ...]:
        """What the two logits of a token say."""
        return ("start", "end")

    def _reading(self, tokenizer: Tokenizer) -> Reading:
        window = min(self.max_length or tokenizer.max_length, tokenizer.max_length)
        if window < tokenizer.framing.paired + _LEAST_ROOM:
            raise ConfigError(
                f"a window of {window} tokens has no room beside its special tokens",
                code="TS-TASK-043",
                place=Place(key="task.max_length"),
                fix="make it larger.",
            )
        return Reading(level=self.units, window=window, stride=self.stride)

    def _said(self, example: Example, best: Verdict | None, units: Sequence[Unit], *, truncated: int) -> Prediction:
        if best is None:
            return Prediction.about(example, (), confidence=1.0, truncated=truncated)
        answer = ScoredSpan(units[best.first][0], units[best.last][1], ANSWER, best.answer)
        if best.share < (EVEN if self.no_answer_threshold is None else self.no_answer_threshold):
            return Prediction.about(example, (), confidence=best.none, truncated=truncated, instead=answer)
        none = ScoredSpan(0, 0, ANSWER, best.none) if self.no_answer else None
        return Prediction.about(example, (answer,), confidence=best.answer, truncated=truncated, instead=none)


def _counts(batch: Batch) -> Tensor:
    """[S] places of each window that has any: one that only fills a batch up has none."""
    return torch.tensor([count for count in batch.place_counts if count], device=batch.weight.device)


def learnt_answer(example: Example) -> Example:
    """The example with only the reference that is learnt: the first."""
    return example if example.gold is None else replace(example, gold=(_answers(example) or ())[:1])


def _asked(example: Example) -> Example:
    """The example, which must have a question."""
    if example.pair is not None:
        return example
    raise unusable(
        example,
        "the row has no question",
        code="TS-TASK-040",
        fix="name the column that holds it (data.pair), or choose another task.",
    )


def _answers(example: Example) -> tuple[Span, ...] | None:
    """The references of an example, the one to learn first; none where it has no answer, None where nobody knows."""
    gold = example.gold
    if gold is None:
        return None
    spans = tuple(item for item in gold if isinstance(item, Span)) if isinstance(gold, tuple) else ()
    if not isinstance(gold, tuple) or len(spans) != len(gold):
        raise unusable(
            example,
            "the row carries something else than answers",
            code="TS-TASK-041",
            fix="give its answers with their places (an empty list where there is none), or choose another task.",
        )
    return spans


def _wanted(example: Example, units: Sequence[Unit]) -> tuple[int, int] | None:
    """The units `first` to `last` (exclusive) of the answer to learn; (0, 0) for none, None without gold."""
    spans = _answers(learnt_answer(example))
    if spans is None:
        return None
    placed = place(spans, units)[0]
    return placed[0][:2] if placed else (0, 0)


def _targets(window: AnswerWindow, answer: tuple[int, int]) -> NDArray[np.float32]:
    """[m, 2] with one 1 a column: where the answer begins and ends, at the place of "no answer" if it is not shown."""
    targets = np.zeros((len(window.units), 2), np.float32)
    first, last = answer
    shown = window.units[1:]
    if first < last and len(shown) and shown[0] <= first and last - 1 <= shown[-1]:
        targets[1 + np.searchsorted(shown, first), 0] = 1
        targets[np.searchsorted(shown, last - 1, side="right"), 1] = 1
    else:
        targets[0] = 1
    return targets
