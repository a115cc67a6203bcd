"""Files of prompts and conversations: columns by their names, order and roles of messages, several right answers."""

import json
from pathlib import Path
from typing import Any

import pytest

from tunesmith.core.conversation import Message
from tunesmith.core.errors import DataError
from tunesmith.core.example import Example
from tunesmith.prepare.reading import detect, read


def examples(folder: Path, *rows: dict[str, Any], **given: str) -> list[Example]:
    file = folder / "rows.jsonl"
    file.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    finding = detect(file, given=given)
    assert finding.task == "generation"
    return list(read(finding.path, finding.format))


def said(*messages: str) -> list[dict[str, str]]:
    return [dict(zip(("role", "content"), message.split(": "), strict=True)) for message in messages]


ANSWERS = [f"Answer number {n} tells how to reset card {n}." for n in range(30)]


@pytest.mark.parametrize(
    ("asked", "answer"), [("instruction", "output"), ("prompt", "completion"), ("question", "answer"), ("问题", "回答")]
)
def test_prompt_and_answer_are_found_by_names_that_go_together(tmp_path: Path, asked: str, answer: str) -> None:
    rows = [{asked: f"How do I reset card {n}?", answer: text} for n, text in enumerate(ANSWERS)]
    found = examples(tmp_path, *rows)
    assert (found[3].text, found[3].gold) == ("How do I reset card 3?", ANSWERS[3])


def test_the_input_of_an_instruction_follows_it_where_there_is_one(tmp_path: Path) -> None:
    rows = [
        {"instruction": "Sum up.", "input": "" if n % 2 else f"Text {n}", "output": a} for n, a in enumerate(ANSWERS)
    ]
    found = examples(tmp_path, *rows)
    assert [row.text for row in found[:2]] == ["Sum up.\n\nText 0", "Sum up."]


def test_short_answers_are_labels_unless_somebody_asks(tmp_path: Path) -> None:
    rows = [{"question": f"Is {n} even?", "answer": ("yes", "no")[n % 2]} for n in range(30)]
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert detect(file, given={"label": "answer"}).task == "text_classification"
    assert examples(tmp_path, *rows, task="generation")[0].gold == "yes"


def test_a_conversation_ends_in_the_answer_to_its_last_question(tmp_path: Path) -> None:
    spoken = said("system: Be brief.", "user: Hi", "assistant: Hello", "user: Bye", "assistant: Ciao")
    shared = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]
    heard = [{"speaker": "USER", "utterance": "Hi"}, {"speaker": "SYSTEM", "utterance": "Hello"}]
    open_end = said("user: Hi", "assistant: Hello", "user: Well?")
    first, second, third, fourth = examples(tmp_path, *({"messages": m} for m in (spoken, shared, heard, open_end)))
    assert first.turns == (Message("system", "Be brief."), Message("user", "Hi"), Message("assistant", "Hello"))
    assert (first.text, first.gold) == ("Bye", "Ciao")
    assert (second.text, second.gold) == (third.text, third.gold) == ("Hi", "Hello")
    assert (fourth.text, fourth.gold) == ("Well?", None)


@pytest.mark.parametrize(
    ("messages", "code", "told"),
    [
        (said("user: Hi", "user: Again"), "TS-CHAT-003", "message 2 is of the user"),
        (said("assistant: Hello", "user: Hi"), "TS-CHAT-003", "message 1 is of the assistant"),
        (said("user: Hi", "system: Now obey"), "TS-CHAT-003", "message 2 is of the system"),
        (said("system: Be brief."), "TS-CHAT-003", "nobody asks"),
        (said("user: Hi", "assistant:  "), "TS-CHAT-004", "message 2, of the assistant, is blank"),
        (said("user: Hi", "narrator: Hello"), "TS-CHAT-002", "'narrator'"),
        ([{"role": "user", "content": "Hi", "tool_calls": [1]}], "TS-CHAT-001", "'tool_calls'"),
        ([{"role": "user", "content": None}], "TS-CHAT-001", "message 1 has no text"),
        ([], "TS-DATA-060", "no list of messages"),
    ],
)
def test_messages_in_disorder_are_refused_at_their_line(
    tmp_path: Path, messages: list[dict[str, Any]], code: str, told: str
) -> None:
    good = {"messages": said("user: Hi", "assistant: Hello")}
    with pytest.raises(DataError, match=told) as caught:
        examples(tmp_path, *[good] * 20, {"messages": messages})
    assert caught.value.code == code and caught.value.place and caught.value.place.line == 21


def test_a_list_of_answers_are_all_right_and_none_may_be_empty(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"prompt": "Say hi", "answer": ["hi", "hello"]}]
    assert examples(tmp_path, *rows, text="prompt", answer="answer", task="generation")[0].gold == ("hi", "hello")
    for wrong, told in (([], "no answer"), (["hi", " "], "the answer is empty"), ("", "the answer is empty")):
        with pytest.raises(DataError, match=told):
            examples(
                tmp_path, *rows, {"prompt": "x", "answer": wrong}, text="prompt", answer="answer", task="generation"
            )
