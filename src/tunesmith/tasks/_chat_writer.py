"""A model that answers conversations: prompts by its template, tokens by its decoding, texts by its tokenizer."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch

from tunesmith.core.example import Example
from tunesmith.core.model import Model
from tunesmith.core.prediction import Prediction
from tunesmith.core.task import AnswerWriter
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.models.chat import Chat
from tunesmith.models.constraints import Choices, Constraint, choice_trie
from tunesmith.models.decoding import Decoding
from tunesmith.models.grammar import Grammars
from tunesmith.models.vocabulary_head import WritingHead
from tunesmith.models.writer import Writer
from tunesmith.models.writing import writing
from tunesmith.tasks._chats import Fitted

Prompt = Callable[[Example], Fitted]


class ChatWriter(AnswerWriter):
    """Writes what `decoding` says behind what `prompt` makes of an example."""

    def __init__(
        self,
        model: Model,
        tokenizer: Tokenizer,
        *,
        dtype: torch.dtype,
        prompt: Prompt,
        decoding: Decoding,
        choices: Sequence[str] = (),
        json_schema: Mapping[str, Any] | None = None,
    ) -> None:
        """`choices` are the only answers there are, `json_schema` is what answers follow, where one is given.

        Raises:
            MissingExtraError: a schema, and nothing installed that reads it.
            ConfigError: a schema that no answer can follow.
        """
        ends = Chat(tokenizer).end_ids
        assert isinstance(model.head, WritingHead), "what is written is written by a language head"
        head = model.head.writing(dtype)
        self._writer = Writer(writing(model.backbone, dtype), head, ends=ends, read=tokenizer.text)
        self._prompt, self._decoding = prompt, decoding
        self._constraint: Callable[[int], Constraint] | None = None
        if choices:
            trie = choice_trie(tokenizer.texts(choices), ends)
            self._constraint = lambda _: Choices(trie)
        elif json_schema is not None:
            grammars = Grammars(tokenizer, words=model.head.vocabulary, ends=ends)
            self._constraint = grammars.json_schema(json_schema)

    def write(self, examples: Sequence[Example], *, progress: Callable[[int], None] | None = None) -> list[Prediction]:
        """See the contract."""
        prompts = [self._prompt(example) for example in examples]
        pieces: list[list[str]] = [[] for _ in examples]
        stream = partial(self._writer.stream, constraint=self._constraint)
        for piece in stream([prompt.ids for prompt in prompts], self._decoding):
            pieces[piece.index].append(piece.text)
            if piece.reason is not None and progress is not None:
                progress(1)
        return [
            Prediction.about(example, "".join(own).strip(), truncated=prompt.truncated)
            for example, own, prompt in zip(examples, pieces, prompts, strict=True)
        ]

    def stream(self, example: Example) -> Iterator[str]:
        """See the contract; blanks at either end of an answer are left out."""
        begun, held = False, ""
        for piece in self._writer.stream([self._prompt(example).ids], self._decoding, constraint=self._constraint):
            text = held + piece.text if begun else (held + piece.text).lstrip()
            shown = text.rstrip()
            held = text[len(shown) :]
            if shown:
                begun = True
                yield shown
