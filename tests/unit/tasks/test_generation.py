"""Answers that are written: what is learnt, what a window leaves out, how answers come out again."""

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from tunesmith.core.batch import collate
from tunesmith.core.conversation import Message
from tunesmith.core.errors import ConfigError, DataError
from tunesmith.core.example import Example, Source
from tunesmith.core.model import Model
from tunesmith.core.rooms import TASKS
from tunesmith.core.task import WritingTask
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.methods.lora import Lora
from tunesmith.models.decoding import Decoding
from tunesmith.models.surgery import apply_method
from tunesmith.tasks.generation import Generation

Bench = tuple[Model, Tokenizer]
TAUGHT = "please help<|stop|>"
TALK = (Message("user", "my card"), Message("assistant", "is lost?"))


@pytest.fixture
def bench(tiny_chat: Callable[..., Bench]) -> Bench:
    model, tokenizer = tiny_chat()
    return model.eval(), tokenizer


def row(text: str, gold: str | tuple[str, ...] | None = "please help", **more: object) -> Example:
    return replace(Example(id="1", text=text, gold=gold, source=Source("rows.jsonl", 7)), **more)  # type: ignore[arg-type]


def read(tokenizer: Tokenizer, ids: object) -> str:
    text: str = tokenizer._fast.decode([int(index) for index in np.asarray(ids)], skip_special_tokens=False)
    return text


def test_the_answer_and_its_end_are_learnt_and_nothing_else(bench: Bench) -> None:
    _, tokenizer = bench
    (window,) = Generation().encode([row("not good")], tokenizer)
    assert (
        read(tokenizer, window.input_ids) == "<|turn|>user\nnot good<|stop|>\n<|turn|>assistant\nplease help<|stop|>\n"
    )
    assert window.targets is not None and read(tokenizer, window.targets) == TAUGHT
    assert window.input_ids[window.places + 1].tolist() == window.targets.tolist()


@pytest.mark.parametrize(
    ("learn", "taught"), [("all", "is lost?<|stop|>please help<|stop|>"), ("last", "please help<|stop|>")]
)
def test_earlier_answers_are_learnt_unless_only_the_last_is_wished(bench: Bench, learn: str, taught: str) -> None:
    _, tokenizer = bench
    (window,) = Generation(learn=learn).encode([row("and mine?", turns=TALK)], tokenizer)  # type: ignore[arg-type]
    assert read(tokenizer, window.targets) == taught


def test_a_system_message_stands_before_conversations_that_have_none(bench: Bench) -> None:
    _, tokenizer = bench
    own = (Message("system", "My own."), *TALK)
    task = Generation(system="Be brief.")
    first, second = task.encode([row("hi", turns=TALK), row("hi", turns=own)], tokenizer)
    assert read(tokenizer, first.input_ids).startswith("<|turn|>system\nBe brief.<|stop|>")
    assert read(tokenizer, second.input_ids).startswith("<|turn|>system\nMy own.<|stop|>") and "Be" not in read(
        tokenizer, second.input_ids
    )


def test_what_is_too_long_loses_its_oldest_exchange_then_its_text_and_never_its_answer(bench: Bench) -> None:
    _, tokenizer = bench
    task = Generation(max_length=60)
    talk = (Message("user", "the cat " * 8), Message("assistant", "sat on the mat"))
    (dropped,) = task.encode([row("not good", turns=talk)], tokenizer)
    assert "cat" not in read(tokenizer, dropped.input_ids) and dropped.truncated == len(
        "the cat " * 8 + "sat on the mat"
    )
    (cut,) = task.encode([row("the cat sat on the mat " * 30)], tokenizer)
    assert len(cut) <= 60 and cut.truncated > 500
    for window in (dropped, cut):
        assert read(tokenizer, window.targets) == TAUGHT


def test_an_answer_that_no_window_holds_loses_its_end_and_says_so(bench: Bench) -> None:
    _, tokenizer = bench
    answer = "the cat sat on the mat " * 12
    (window,) = Generation(max_length=60).encode([row("not good at all, says everyone", answer)], tokenizer)
    assert len(window) == 60 and window.truncated > 100
    kept = read(tokenizer, window.targets)
    assert answer.startswith(kept) and len(kept) > 60
    with pytest.raises(ConfigError, match="does not hold what the chat template writes"):
        Generation(max_length=16).encode([row("hi", "yes")], tokenizer)


def test_a_question_leaves_room_for_its_answer(bench: Bench) -> None:
    _, tokenizer = bench
    task = Generation(decoding=Decoding(max_new_tokens=30))
    (window,) = task.encode([row("the cat sat on the mat " * 30, None)], tokenizer)
    assert len(window) <= 96 - 30 and window.targets is None and window.truncated
    assert read(tokenizer, window.input_ids).endswith("<|turn|>assistant\n")


def test_the_room_for_answers_is_read_from_the_training_rows_unless_it_is_given() -> None:
    rows = [row("a", "x" * 10), row("b", "x" * 300)]
    assert Generation().bound(rows).decoding.max_new_tokens == 150
    assert Generation().bound([row("a", "谢谢" * 50)]).decoding.max_new_tokens == 150
    assert Generation(decoding=Decoding(max_new_tokens=7)).bound(rows).decoding.max_new_tokens == 7


@pytest.mark.parametrize("wrong", [{"gold": None}, {"gold": " "}, {"gold": ("a", "")}, {"gold": 3.0}, {"pair": "x"}])
def test_rows_that_cannot_be_learnt_are_refused_at_their_line(wrong: dict[str, object]) -> None:
    with pytest.raises(DataError) as caught:
        Generation().bound([row("a"), row("b", **wrong)] if "gold" not in wrong else [replace(row("b"), **wrong)])  # type: ignore[arg-type]
    assert caught.value.code == "TS-TASK-060" and caught.value.place and caught.value.place.line == 7


def test_the_loss_is_that_of_the_logits_at_the_answers(bench: Bench) -> None:
    model, tokenizer = bench
    task: WritingTask = Generation()
    windows = task.encode([row("not good"), row("my card is lost", "good", weight=0.5)], tokenizer)
    batch = collate(windows, ["1", "2"])
    output = model(batch)
    plain = torch.nn.functional.cross_entropy(output.logits, batch.targets, reduction="none")
    assert_close(task.loss(output, batch, head=model.head), (plain * batch.weight).sum())
    assert task.count(batch) == len(windows[0].places) + 0.5 * len(windows[1].places)


def test_what_was_learnt_by_heart_is_written_in_pieces_and_whole(bench: Bench) -> None:
    model, tokenizer = bench
    rows = [row("my card is lost", "please help: 谢谢 👍🏽!"), row("and mine?", "not good", turns=TALK)]
    task = Generation().bound(rows)
    apply_method(model, Lora(rank=8, targets=["query", "value", "up", "down", "gate"]))
    windows = collate(task.encode(rows, tokenizer), ["1", "2"])
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.03)
    for _ in range(120):
        optimizer.zero_grad()
        (task.loss(model(windows), windows, head=model.head) / task.count(windows)).backward()
        optimizer.step()
    bare = [replace(example, gold=None) for example in rows]
    writer = task.writer(model.eval(), tokenizer)
    counted: list[int] = []
    said = writer.write(bare, progress=counted.append)
    assert [answer.predicted for answer in said] == [example.gold for example in rows] and sum(counted) == 2
    pieces = list(writer.stream(bare[0]))
    assert "".join(pieces) == rows[0].gold and len(pieces) > 2
    assert writer.write(bare[1:])[0].predicted == said[1].predicted


def test_choices_are_the_only_answers(bench: Bench) -> None:
    model, tokenizer = bench
    choices = ["lost card", "lost", "stolen card"]
    task = Generation(choices=choices, decoding=Decoding(max_new_tokens=20))
    said = task.writer(model, tokenizer).write([row(text, None) for text in ("a", "b c", "my card is lost")])
    assert {str(answer.predicted) for answer in said} <= set(choices)


def test_an_answer_follows_its_schema(bench: Bench) -> None:
    pytest.importorskip("llguidance", reason='pip install "tunesmith[grammar]"')
    model, tokenizer = bench
    schema = {"type": "object", "properties": {"lost": {"type": "boolean"}}, "required": ["lost"]}
    schema |= {"additionalProperties": False}
    task = Generation(json_schema=schema, decoding=Decoding(max_new_tokens=30))
    (said,) = task.writer(model, tokenizer).write([row("my card is lost", None)])
    assert json.loads(str(said.predicted)) in ({"lost": True}, {"lost": False})


def test_constraints_that_do_not_go_together_are_refused() -> None:
    both = {"choices": ["a", "b"], "json_schema": {}}
    beams = {"choices": ["a", "b"], "decoding": {"strategy": "beam"}}
    for table in (both, beams):
        with pytest.raises(ConfigError, match="json_schema"):
            TASKS.make({"kind": "generation", **table}, key="task")
