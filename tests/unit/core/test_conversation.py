"""Conversations that cannot be learnt from or answered are refused, with the number of the message."""

import pytest

from tunesmith.core.conversation import Message, answered, asked, conversation
from tunesmith.core.errors import DataError, Place


def row(role: str, content: object = "text", **more: object) -> dict[str, object]:
    return {"role": role, "content": content, **more}


def test_a_system_message_first_and_turns_behind_it() -> None:
    rows = [row("system", ""), row("user", "Hi"), row("assistant", " Yes ", tool_calls=None, id=3)]
    read = conversation(rows)
    assert read == (Message("system", ""), Message("user", "Hi"), Message("assistant", " Yes "))
    assert answered(read) == read and asked(read[:2]) == read[:2]


@pytest.mark.parametrize(
    ("rows", "message", "code"),
    [
        ([], "not a list", "001"),
        ("user", "not a list", "001"),
        (["user"], "message 1 is not an object", "001"),
        ([row("user", None)], "message 1 has no text", "001"),
        ([row("user", [{"type": "text", "text": "a"}])], "message 1 has no text", "001"),
        ([row("user"), row("assistant", weight=0)], "message 2 has the key 'weight'", "001"),
        ([row("user"), row("tool")], "message 2 is of the unknown role 'tool'", "002"),
        ([{"content": "a"}], "unknown role 'None'", "002"),
        ([row("system")], "nobody asks", "003"),
        ([row("assistant")], "message 1 is of the assistant where the user's turn is", "003"),
        ([row("user"), row("user")], "message 2 is of the user where the assistant's turn is", "003"),
        ([row("user"), row("system")], "message 2 is of the system", "003"),
        ([row("system"), row("system")], "message 2 is of the system", "003"),
        ([row("user"), row("assistant", " \n")], "message 2, of the assistant, is blank", "004"),
        ([row("user", ""), row("assistant")], "message 1, of the user, is blank", "004"),
    ],
)
def test_what_is_none_is_refused(rows: object, message: str, code: str) -> None:
    with pytest.raises(DataError, match=rf"chats.jsonl:7: .*{message}.*TS-CHAT-{code}"):
        conversation(rows, place=Place(file="chats.jsonl", line=7))


def test_training_needs_an_answer_and_answering_a_question() -> None:
    read = conversation([row("user"), row("assistant"), row("user")])
    with pytest.raises(DataError, match="without an answer"):
        answered(read)
    with pytest.raises(DataError, match="without a question"):
        asked(read[:2])
