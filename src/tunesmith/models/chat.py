"""Conversations as tokens: what a model reads before it answers, and which tokens of an answer it learns.

    prompt(messages)   ids of the conversation up to where the next answer begins
    window(messages)   ids of the whole conversation; learnt are the answers, each with the token that ends it

An answer begins where the rendering of all that goes before it, with the template's prompt for an answer, ends; the
tokens are cut there, so that training sees the very prompt that answering will. It ends with the first control token
that the template puts behind it: a model that is not taught that token never stops.

Contents are rendered a second time between two marks, which tells what a user typed from what the template wrote. A
control token that somebody typed stays text.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Final

from tunesmith.core.chat_template import ChatTemplate
from tunesmith.core.conversation import Conversation, Message, answered, asked, checked
from tunesmith.core.errors import ConfigError, ModelFileError, Place
from tunesmith.core.segments import Control
from tunesmith.core.tokenizer import Tokenizer, encodable

_MARKS: Final = range(0xE000, 0x110000)
"""Where marks are taken from; the first of these code points belong to no script"""


@dataclass(frozen=True, slots=True)
class ChatWindow:
    """A conversation with its answers."""

    ids: tuple[int, ...]
    """all tokens, N"""
    learnt: tuple[bool, ...]
    """whether a token is part of an answer or ends one, N"""


@dataclass(frozen=True, slots=True)
class _Rendered:
    """A rendering, and what in it was typed: spans of characters, and where each content ends."""

    text: str
    typed: tuple[tuple[int, int], ...]
    ends: tuple[int, ...]


class Chat:
    """A tokenizer and its chat template."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Bind them.

        Raises:
            ConfigError: the tokenizer has no template.
        """
        if tokenizer.template is None:
            raise ConfigError(
                "this backbone cannot hold a conversation: it has no chat template and no token that ends a text",
                code="TS-CHAT-010",
                place=Place(key="backbone"),
                fix="take a decoder such as starter:chat, or put a chat_template into its tokenizer_config.json.",
            )
        self.template: ChatTemplate = tokenizer.template
        self._segments = tokenizer.segments

    def text(self, messages: Sequence[Message], *, add_generation_prompt: bool = False) -> str:
        """The conversation as one text, as transformers' `apply_chat_template` gives it."""
        return self.template.render(messages, add_generation_prompt=add_generation_prompt)

    def prompt(self, messages: Sequence[Message], *, place: Place | None = None) -> tuple[int, ...]:
        """Token ids of a conversation up to where the next answer begins.

        Raises:
            DataError: a wrong order, no user at the end, or a conversation that the template refuses.
            ModelFileError: the template fails or changes what was typed.
        """
        given = _readable(asked(checked(messages, place=place), place=place))
        rendered = self._rendered(given, prompting=True, place=place)
        begins = [len(begin) for begin, _ in self._answers(given, place) if rendered.text.startswith(begin)]
        segments = self._segments.read(rendered.text, self._controls(rendered, begins), begins)
        return tuple(index for segment in segments for index in segment.ids)

    def window(self, messages: Sequence[Message], *, place: Place | None = None) -> ChatWindow:
        """Token ids of a conversation that an answer ends, and which of them are learnt.

        Raises:
            DataError: a wrong order, no answer at the end, or a conversation that the template refuses.
            ModelFileError: the template fails, changes what was typed, or does not end an answer by a control token.
        """
        given = _readable(answered(checked(messages, place=place), place=place))
        rendered = self._rendered(given, place=place)
        answers = list(self._answers(given, place))
        if not all(rendered.text.startswith(end) and end.startswith(begin) for begin, end in answers):
            raise self._unfit(
                "writes an answer anew once the conversation goes on, or not behind its own prompt for it",
                "make one row of each answer, with the conversation before it, or change the template so that what it "
                "has written stays as it is (messages[:k] with the generation prompt must begin messages[:k + 1]).",
            )
        begins = [len(begin) for begin, _ in answers]
        controls = self._controls(rendered, begins)
        spans = [self._learnt(rendered, controls, len(begin), len(end)) for begin, end in answers]
        ids: list[int] = []
        learnt: list[bool] = []
        for segment in self._segments.read(rendered.text, controls, begins):
            ids += segment.ids
            learnt += [any(begin < segment.end <= end for begin, end in spans)] * len(segment.ids)
        return ChatWindow(tuple(ids), tuple(learnt))

    @cached_property
    def end_ids(self) -> frozenset[int]:
        """The tokens at which an answer is over: the template's own, and the one that ends a text."""
        window = self.window((Message("user", "a"), Message("assistant", "b")))
        taught = [index for index, learnt in zip(window.ids, window.learnt, strict=True) if learnt]
        ends = self._segments.controls(self.template.control.get("eos_token", ""))
        return frozenset((taught[-1], *(control.id for control in ends)))

    def _answers(self, messages: Conversation, place: Place | None) -> Iterator[tuple[str, str]]:
        """For each answer: the text that goes before it, prompt included, and the text that ends with it."""
        for index, message in enumerate(messages):
            if message.role == "assistant":
                begin = self.template.render(messages[:index], add_generation_prompt=True, place=place)
                yield begin, self.template.render(messages[: index + 1], place=place)

    def _rendered(self, messages: Conversation, *, prompting: bool = False, place: Place | None) -> _Rendered:
        """The text, and what of it was typed: read off a second rendering with marks around each content."""
        text = self.template.render(messages, add_generation_prompt=prompting, place=place)
        used = set(text).union(self.template.source, *(message.content for message in messages))
        opening, closing = islice((mark for mark in map(chr, _MARKS) if mark not in used), 2)
        marked = self.template.render(
            [Message(message.role, _between(message.content, opening, closing)) for message in messages],
            add_generation_prompt=prompting,
            place=place,
        )
        plain, typed, ends, begin = "", [], [], -1
        for part in re.split(f"([{opening}{closing}])", marked):
            if part == opening:
                begin = len(plain)
            elif part == closing:
                ends.append(len(plain))
                typed += [(begin, len(plain))] if begin >= 0 else []
                begin = -1
            else:
                plain += part
        whole = len(typed) == len(ends) == marked.count(opening)
        if plain != text or not (whole or all(not self._segments.controls(message.content) for message in messages)):
            raise self._unfit(
                "changes what was typed, so that a control token in it could not be told from the template's own",
                "take the control token out of the content, or a template that writes contents as they are.",
            )
        return _Rendered(text, tuple(typed), tuple(ends))

    def _controls(self, rendered: _Rendered, cuts: Sequence[int]) -> list[Control]:
        """The control tokens that the template wrote."""
        stops = sorted([*rendered.typed, *((cut, cut) for cut in cuts), (len(rendered.text),) * 2])
        found: list[Control] = []
        at = 0
        for begin, end in stops:
            found += self._segments.controls(rendered.text[at:begin], offset=at)
            at = max(at, end)
        return found

    def _learnt(self, rendered: _Rendered, controls: Sequence[Control], begin: int, stop: int) -> tuple[int, int]:
        """The characters of an answer between `begin` and `stop`, up to its end token."""
        spoken = [end for end in rendered.ends if begin <= end <= stop]
        ends = [control.end for control in controls if spoken and max(spoken) <= control.start < stop]
        if not ends:
            raise self._unfit(
                "ends an answer without a control token" if spoken else "leaves an answer out",
                "write {{ eos_token }} behind an answer in the template; without it a model is never taught to stop.",
            )
        return begin, ends[0]

    def _unfit(self, message: str, fix: str) -> ModelFileError:
        place = Place(file=self.template.file, key="chat_template")
        return ModelFileError(f"the chat template {message}", code="TS-CHAT-011", place=place, fix=fix)


def _readable(messages: Conversation) -> Conversation:
    return tuple(Message(message.role, encodable(message.content)) for message in messages)


def _between(content: str, opening: str, closing: str) -> str:
    """Marks around a content, inside the blanks at its ends: a template may strip those."""
    core = content.strip()
    before = len(content) - len(content.lstrip())
    return f"{content[:before]}{opening}{core}{closing}{content[before + len(core) :]}"
