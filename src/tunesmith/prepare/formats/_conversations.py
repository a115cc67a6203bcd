"""Conversations: a list of messages to the last one of a user, what was said before it, and the answer to it.

Keys and roles go by several names: `role` and `content`, `from` and `value`, `speaker` and `utterance`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tunesmith.core.example import Turn
from tunesmith.prepare.formats._faults import SKIP, RowFault, check_text

_ROLE_KEYS = ("role", "from", "speaker")
_CONTENT_KEYS = ("content", "value", "utterance", "text")
_ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "customer": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "bot": "assistant",
    "agent": "assistant",
    "model": "assistant",
}


@dataclass(frozen=True, slots=True)
class Conversation:
    """`text` is what a user said last, `answer` what followed, None where nothing did."""

    turns: tuple[Turn, ...]
    """The messages before `text`"""
    text: str
    answer: str | None


def are_messages(value: object) -> bool:
    """Whether a value is a list of messages."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(
            isinstance(item, Mapping)
            and any(key in item for key in _ROLE_KEYS)
            and any(key in item for key in _CONTENT_KEYS)
            for item in value
        )
    )


def conversation(value: object, key: str) -> Conversation:
    """The conversation under `key`.

    Raises:
        RowFault: no list of messages, an unknown role, a blank message, or messages in an order that nobody talks in.
    """
    if not isinstance(value, list) or not are_messages(value):
        raise _fault('no list of messages {"role": ..., "content": ...}', "write one", key, code="TS-DATA-060")
    messages = [_turn(item, number, key) for number, item in enumerate(value, start=1)]
    before = [turn.role for turn in messages]
    expected = "user"
    for number, role in enumerate(before, start=1):
        if role == "system" and number == 1:
            continue
        if role != expected:
            raise _fault(f"message {number} is by the {role}, where one by the {expected} must stand", _ORDER, key)
        expected = "assistant" if role == "user" else "user"
    if "user" not in before:
        raise _fault("nobody asks anything", _ORDER, key)
    answer = messages.pop().content if messages[-1].role == "assistant" else None
    asked = messages.pop()
    return Conversation(tuple(messages), asked.content, answer)


_ORDER = "a conversation is an optional system message, then user and assistant in turn"


def _turn(item: Mapping[str, object], number: int, key: str) -> Turn:
    named = next(name for name in _ROLE_KEYS if name in item)
    said = str(item[named]).strip().lower()
    role = "assistant" if named == "speaker" and said == "system" else _ROLES.get(said)
    if role is None:
        known = _listed(sorted(set(_ROLES.values())))
        raise _fault(
            f"message {number} has the role {str(item[named])[:40]!r}", f"use {known}", key, code="TS-DATA-061"
        )
    content = item[next(name for name in _CONTENT_KEYS if name in item)]
    if not isinstance(content, str) or not content.strip():
        raise _fault(f"message {number} is empty", "fill it in", key)
    check_text(content, key, what=f"message {number}")
    return Turn(role, content)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)


def _fault(message: str, fix: str, key: str, *, code: str = "TS-DATA-062") -> RowFault:
    return RowFault(message, code=code, fix=f"{fix}, {SKIP}.", key=key)
