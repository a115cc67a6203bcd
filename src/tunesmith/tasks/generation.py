"""An answer that is written: to a question, an instruction, a text to be summed up, a conversation.

    loss = - sum over the tokens t of the answer, and of the token that ends it, of log p(y_t | x, y_<t)

Only what the assistant says is learnt: what is asked is read and costs no product with the vocabulary. Rows are laid
end to end and none sees another, so there is nothing to pack and no padding. The token that ends an answer is learnt
too: a model that is not taught it never stops.

While training, dev rows are scored by the likelihood of their answers; to write them all takes too long between two
steps. The report is about answers that were written.

When to use it: answers that are no choice among labels and stand nowhere in the text. For labels take
`text_classification`, for an answer that stands in the text `extractive_qa`: both are faster, and cannot invent.
Cost: a token of the prompt as any encoder's; a token of the answer besides one product with the vocabulary. Writing is
one pass of the model for each token of the longest answer of a batch.
References: Radford et al. 2018 and 2019 (GPT, GPT-2); Ouyang et al. 2022, section 3.4 for tuning on answers; Lin 2004
for ROUGE, which leads the report.
"""

import math
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from tunesmith.core.batch import Batch, Encoding
from tunesmith.core.errors import DataError, Place
from tunesmith.core.example import Example
from tunesmith.core.model import Backbone, Model, Output
from tunesmith.core.task import AnswerWriter, WritingTask
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.models.chat import Chat
from tunesmith.models.decoding import Decoding
from tunesmith.models.language_head import language_head
from tunesmith.models.vocabulary_head import WritingHead
from tunesmith.tasks._chat_writer import ChatWriter
from tunesmith.tasks._chats import Fitted, encoding, fitted
from tunesmith.tasks._losses import class_excess

Metric = Literal["rouge_l", "exact_match", "token_f1", "bleu", "chrf"]
LONGEST = 512
"""Tokens that an answer may have where nothing is said and training answers are long."""


class Generation(WritingTask):
    """An answer to each row, token by token."""

    system: str | None = None
    """A message to the model ahead of every conversation that has none of its own: who it is, how it is to answer."""
    learn: Literal["all", "last"] = "all"
    """Which answers of a conversation are learnt: all that the assistant gives in it, or only the last."""
    metric: Metric = "rouge_l"
    """What leads the report; all are computed."""
    max_length: int | None = Field(default=None, ge=16)
    """Tokens of a window, answer included; the backbone's own limit where it is smaller or nothing is given."""
    choices: list[str] | None = Field(default=None, min_length=2)
    """The only answers there are; a model then chooses among them, token by token."""
    json_schema: dict[str, Any] | None = None
    """A JSON schema that every answer follows, as a table; needs the extra `grammar`."""
    decoding: Decoding = Decoding()
    """How the next token is chosen; `max_new_tokens` is read from the training answers where it is not given."""

    @model_validator(mode="after")
    def _one_constraint(self) -> Self:
        constrained = self.choices is not None or self.json_schema is not None
        if self.choices is not None and self.json_schema is not None:
            raise ValueError("an answer follows choices or a json_schema, not both")
        if constrained and self.decoding.strategy == "beam":
            raise ValueError('choices and json_schema need decoding.strategy = "greedy" or "sample"')
        return self

    def bound(self, examples: Iterable[Example]) -> "Generation":
        """`decoding.max_new_tokens` from the longest answer.

        Raises:
            DataError: at the line of an example without an answer, or with a second text.
        """
        longest = 0
        for example in examples:
            longest = max(longest, *(len(answer.encode()) for answer in _answers(example)))
        if "max_new_tokens" in self.decoding.model_fields_set:
            return self
        # a token of a byte-level vocabulary is two bytes or more on the mean in any language
        tokens = min(LONGEST, max(16, math.ceil(longest / 2)))
        return self.model_copy(update={"decoding": self.decoding.model_copy(update={"max_new_tokens": tokens})})

    def encode(self, examples: Sequence[Example], tokenizer: Tokenizer) -> list[Encoding]:
        """One window for each example: with its (first) answer, or ready to be answered.

        Raises:
            DataError: a conversation that the model's template refuses.
        """
        chat = Chat(tokenizer)
        found = []
        for number, example in enumerate(examples):
            if example.gold is None:
                window = self._prompt(chat, tokenizer, example)
            else:
                room, answer = self._window(tokenizer), _answers(example)[0]
                window = fitted(chat, example, system=self.system, answer=answer, room=room)
            found.append(encoding(number, window, weight=example.weight, last=self.learn == "last"))
        return found

    def head(self, backbone: Backbone) -> nn.Module:
        """The language head that the backbone was pretrained with."""
        return language_head(backbone)

    def excess(self, scores: Tensor, batch: Batch) -> Tensor:
        """CE(uniform over the vocabulary) - CE(y) of each token; [M]."""
        assert batch.targets is not None, "a loss needs gold"
        return class_excess(scores, batch.targets)

    def loss(self, output: Output, batch: Batch, *, head: nn.Module) -> Tensor:
        """Minus the weighted sum of log-likelihoods."""
        return -(batch.weight * self.log_likelihoods(output, batch, head=head)).sum()

    def log_likelihoods(self, output: Output, batch: Batch, *, head: nn.Module) -> Tensor:
        """[M] log p of the target of each place."""
        assert batch.targets is not None, "a likelihood needs gold"
        assert isinstance(head, WritingHead), "what is written is written by a language head"
        return head.log_likelihoods(output.hidden, batch.targets)

    def writer(self, model: Model, tokenizer: Tokenizer, *, dtype: torch.dtype = torch.float32) -> AnswerWriter:
        """The model behind its chat template."""
        return ChatWriter(
            model,
            tokenizer,
            dtype=dtype,
            prompt=partial(self._prompt, Chat(tokenizer), tokenizer),
            decoding=self.decoding,
            choices=self.choices or (),
            json_schema=self.json_schema,
        )

    @property
    def main_metric(self) -> str:
        """ROUGE-L, or what `metric` names."""
        return self.metric

    @property
    def label_names(self) -> tuple[str, ...]:
        """None."""
        return ()

    def _window(self, tokenizer: Tokenizer) -> int:
        return min(tokenizer.max_length, self.max_length or tokenizer.max_length)

    def _prompt(self, chat: Chat, tokenizer: Tokenizer, example: Example) -> Fitted:
        """What is read before an answer; at least half a window is left to that."""
        window = self._window(tokenizer)
        room = window - min(self.decoding.max_new_tokens, window // 2)
        return fitted(chat, example, system=self.system, answer=None, room=room)


def _answers(example: Example) -> tuple[str, ...]:
    """The answers to an example that are all right.

    Raises:
        DataError: none, a blank one, something else, or a second text.
    """
    gold = example.gold
    found = (gold,) if isinstance(gold, str) else gold if isinstance(gold, tuple) else ()
    answers = tuple(answer for answer in found if isinstance(answer, str) and answer.strip())
    if example.pair is not None:
        raise _unusable(example, "the row has a second text, which this task does not read", "join both in one prompt.")
    if not answers or len(answers) < len(found):
        raise _unusable(example, "the row has no answer to learn", "give each row a text as its answer.")
    return answers


def _unusable(example: Example, what: str, fix: str) -> DataError:
    return DataError(what, code="TS-TASK-060", place=Place(file=example.source.file, line=example.source.line), fix=fix)
