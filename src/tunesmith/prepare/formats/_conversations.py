"""What is written: a list of messages to the last one of a user, what was said before it, and the answer to it.

Keys and roles go by several names: `role` and `content`, `from` and `value`, `speaker` and `utterance`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from tunesmith.core.conversation import Conversation, Role, conversation
from tunesmith.core.errors import DataError
from tunesmith.prepare.formats._faults import SKIP, RowFault, check_characters, check_text

_ROLE_KEYS = ("role", "from", "speaker")
_CONTENT_KEYS = ("content", "value", "utterance", "text")
_ROLES: Mapping[str, Role] = {
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
class Exchange:
    """`text` is what a user said last, `answer` what followed, None where nothing did."""

    turns: Conversation
    """The messages before `text`"""
    text: str
    answer: str | None


def are_messages(value: object) -> bool:
    """Whether a value is a list of messages."""
    return isinstance(value, list) and bool(value) and all(_is_message(item) for item in value)


def exchange(value: object, key: str) -> Exchange:
    """The conversation under `key`, taken apart.

    Raises:
        RowFault: no list of messages, an unknown role, a blank message, or messages in an order that nobody talks in.
    """
    if not isinstance(value, list) or not are_messages(value):
        what = 'no list of messages {"role": ..., "content": ...}'
        raise RowFault(what, code="TS-DATA-060", fix=f"write one, {SKIP}.", key=key)
    try:
        messages = list(conversation([_plain(item) for item in value]))
    except DataError as error:
        raise RowFault(error.message, code=error.code, fix=f"{error.fix.rstrip('.')}, {SKIP}.", key=key) from None
    for message in messages:
        check_characters(message.content, key)
    answer = messages.pop().content if messages[-1].role == "assistant" else None
    asked = messages.pop()
    return Exchange(tuple(messages), asked.content, answer)


def written_answers(value: object, key: str) -> str | tuple[str, ...]:
    """An answer in words, or several that are all right.

    Raises:
        RowFault: none, one that is blank, or something else.
    """
    answers = tuple(answer for answer in (value if isinstance(value, list) else [value]) if isinstance(answer, str))
    if not answers or (isinstance(value, list) and len(answers) < len(value)):
        fix = f"write it in quotes, or a list of answers that are all right, {SKIP}."
        raise RowFault("there is no answer", code="TS-DATA-016", fix=fix, key=key)
    for answer in answers:
        check_text(answer, key, what="the answer")
    return answers if isinstance(value, list) else answers[0]


def _is_message(item: object) -> bool:
    return (
        isinstance(item, Mapping)
        and any(key in item for key in _ROLE_KEYS)
        and any(key in item for key in _CONTENT_KEYS)
    )


def _plain(item: Mapping[str, object]) -> dict[str, object]:
    """A message under the names `role` and `content`; whatever else it holds stays for others to judge."""
    named = next(name for name in _ROLE_KEYS if name in item)
    said = str(item[named]).strip().lower()
    role = "assistant" if named == "speaker" and said == "system" else _ROLES.get(said, item[named])
    content = item[next(name for name in _CONTENT_KEYS if name in item)]
    return {**item, "role": role, "content": content}
