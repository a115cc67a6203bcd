"""A conversation: messages of a system, a user and an assistant, in the one order that chat templates know."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from tunesmith.core.errors import DataError, Place

Role = Literal["system", "user", "assistant"]
ROLES: Final = get_args(Role)
_UNREAD: Final = ("tool_calls", "function_call", "tool_call_id", "weight")
"""Keys that change what a message means to those who write them."""


@dataclass(frozen=True, slots=True)
class Message:
    """What one side says."""

    role: Role
    content: str


Conversation = tuple[Message, ...]


def conversation(rows: object, *, place: Place | None = None) -> Conversation:
    """The messages of a row: an optional system message, then user and assistant in turn.

    `rows` is what stands in a file: `[{"role": "user", "content": "..."}, ...]`.

    Raises:
        DataError: not of this form, an unknown role, a wrong order, or a blank turn; the message counts from 1.
    """
    if not isinstance(rows, Sequence) or isinstance(rows, str) or not rows:
        raise _refusal("messages is not a list of one message or more", "TS-CHAT-001", place, _FORM)
    messages = tuple(_message(row, number, place) for number, row in enumerate(rows, start=1))
    return checked(messages, place=place)


def checked(messages: Sequence[Message], *, place: Place | None = None) -> Conversation:
    """The same messages, once their order is known to be right and no turn to be blank.

    Raises:
        DataError: a system message that is not the first, an assistant that begins, two turns of one side in a row,
            or a turn of the user or the assistant without a character that shows.
    """
    turns = messages[1:] if messages and messages[0].role == "system" else messages
    begin = len(messages) - len(turns) + 1
    if not turns:
        raise _refusal("nobody asks anything", "TS-CHAT-003", place, "add a user message.")
    for number, message in enumerate(turns, start=begin):
        expected = "assistant" if (number - begin) % 2 else "user"
        if message.role != expected:
            raise _refusal(
                f"message {number} is of the {message.role} where the {expected}'s turn is",
                "TS-CHAT-003",
                place,
                "put a system message first if there is one, then user and assistant in turn; join two messages of one "
                "side that follow each other.",
            )
        if not message.content.strip():
            raise _refusal(
                f"message {number}, of the {message.role}, is blank",
                "TS-CHAT-004",
                place,
                "fill it in, or leave the conversation out.",
            )
    return tuple(messages)


def answered(messages: Conversation, *, place: Place | None = None) -> Conversation:
    """The same messages, once an answer is known to end them: what training needs.

    Raises:
        DataError: a user has the last word.
    """
    if messages[-1].role != "assistant":
        fix = "add the answer that is to be learnt, or leave out the last message."
        raise _refusal("the conversation ends without an answer", "TS-CHAT-008", place, fix)
    return messages


def asked(messages: Conversation, *, place: Place | None = None) -> Conversation:
    """The same messages, once a question is known to end them: what can be answered.

    Raises:
        DataError: the assistant has the last word.
    """
    if messages[-1].role != "user":
        raise _refusal("the conversation ends without a question", "TS-CHAT-005", place, "leave out the last answer.")
    return messages


def _message(row: object, number: int, place: Place | None) -> Message:
    if not isinstance(row, Mapping):
        raise _refusal(f"message {number} is not an object", "TS-CHAT-001", place, _FORM)
    role, content = row.get("role"), row.get("content")
    if unread := next((key for key in _UNREAD if row.get(key) is not None), None):
        raise _refusal(
            f"message {number} has the key {unread!r}, which is not read",
            "TS-CHAT-001",
            place,
            "remove the key if the row means the same without it; otherwise leave the row out.",
        )
    if not isinstance(content, str):
        raise _refusal(f"message {number} has no text under 'content'", "TS-CHAT-001", place, _FORM)
    match role:
        case "system" | "user" | "assistant":
            return Message(role, content)
        case _:
            raise _refusal(
                f"message {number} is of the unknown role {str(role)[:40]!r}",
                "TS-CHAT-002",
                place,
                f"use one of {', '.join(ROLES)}.",
            )


_FORM: Final = 'write [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}].'


def _refusal(message: str, code: str, place: Place | None, fix: str) -> DataError:
    return DataError(message, code=code, place=place, fix=fix)
