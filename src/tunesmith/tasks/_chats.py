"""A conversation that fits a window: what a model is asked, and the answer it is to learn, cut where they must be.

What is too much goes in this order: the oldest exchanges, then the end of the longest message before the answer, and
where the answer alone takes three fourths of a window its end. A system message stays. What was cut is counted.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tunesmith.core.batch import Encoding
from tunesmith.core.conversation import Message
from tunesmith.core.errors import ConfigError, Place
from tunesmith.core.example import Example
from tunesmith.models.chat import Chat

ASKED = 4
"""What is asked keeps at least this part of a window, one fourth; an answer beyond the rest loses its end"""


@dataclass(frozen=True, slots=True)
class Fitted:
    """The tokens of a window, and the characters that it does not show."""

    ids: tuple[int, ...]
    learnt: tuple[bool, ...]
    """Which tokens belong to answers or end them"""
    truncated: int


def messages_of(example: Example, system: str | None) -> tuple[Message, ...]:
    """What a model is asked: the conversation up to the last message of the user, behind `system` where it has none."""
    before = example.turns
    if system and not (before and before[0].role == "system"):
        before = (Message("system", system), *before)
    return (*before, Message("user", example.text))


def fitted(chat: Chat, example: Example, *, system: str | None, answer: str | None, room: int) -> Fitted:
    """The window of at most `room` tokens of an example, with its answer or, without one, ready to be answered.

    Raises:
        DataError: a conversation that the template refuses.
        ConfigError: a window that does not hold what the template itself writes.
    """
    asked = messages_of(example, system)
    place = Place(file=example.source.file, line=example.source.line)

    def made(messages: Sequence[Message]) -> Fitted:
        cut = _characters(asked) - _characters(messages)
        if answer is None:
            ids = chat.prompt(messages, place=place)
            return Fitted(ids, (False,) * len(ids), cut)
        window = chat.window((*messages, Message("assistant", answer)), place=place)
        return Fitted(window.ids, window.learnt, cut)

    found, messages = made(asked), asked
    if len(found.ids) > room:
        messages = _recent(asked, lambda some: len(made(some).ids) <= room)
        found = made(messages)
    while len(found.ids) > room:
        longest = max(range(len(messages)), key=lambda index: len(messages[index].content))
        content = messages[longest].content
        if len(content) <= 1 or (answer is not None and found.learnt.count(False) <= room // ASKED):
            return _cut(found, room, answer)
        # a token is a character or more: half of what is too much is never more than has to go
        kept = max(1, len(content) - max(1, (len(found.ids) - room) // 2))
        shorter = replace(messages[longest], content=content[:kept])
        messages = (*messages[:longest], shorter, *messages[longest + 1 :])
        found = made(messages)
    return found


def _recent(messages: tuple[Message, ...], fits: Callable[[tuple[Message, ...]], bool]) -> tuple[Message, ...]:
    """The messages without their oldest exchanges, as many as have to go, at most all but the last message."""
    system = messages[:1] if messages[0].role == "system" else ()
    turns = messages[len(system) :]
    while len(turns) > 1 and not fits((*system, *turns)):
        turns = turns[2:]
    return (*system, *turns)


def _cut(found: Fitted, room: int, answer: str | None) -> Fitted:
    """The first `room` tokens; the share of the answer that is lost is counted by its tokens."""
    learnt, lost = sum(found.learnt), sum(found.learnt[room:])
    if answer is None or learnt == lost:
        raise ConfigError(
            f"a window of {room} tokens does not hold what the chat template writes around a message",
            code="TS-TASK-061",
            place=Place(key="task.max_length"),
            fix="take longer windows.",
        )
    return Fitted(found.ids[:room], found.learnt[:room], found.truncated + max(1, round(len(answer) * lost / learnt)))


def _characters(messages: Sequence[Message]) -> int:
    return sum(len(message.content) for message in messages)


def encoding(number: int, window: Fitted, *, weight: float, last: bool) -> Encoding:
    """The window as a model reads it: every token that is learnt is the target of the row before it.

    With `last` only the last answer is learnt. A window without an answer is read at its last row, and has no target.
    """
    learnt = np.array(window.learnt, bool)
    if last and learnt.any():
        begins = np.flatnonzero(np.diff(learnt.astype(np.int8), prepend=0) == 1)
        learnt[: begins[-1]] = False
    ids = np.array(window.ids, np.int32)
    targets = np.flatnonzero(learnt)
    places = (targets - 1 if len(targets) else np.array([len(ids) - 1])).astype(np.int32)
    return Encoding(
        example=number,
        input_ids=ids,
        segment_ids=None,
        places=places,
        units=np.zeros(len(places), np.int32),
        targets=ids[targets].astype(np.int64) if len(targets) else None,
        weight=weight,
        truncated=window.truncated,
    )
