"""Answers of a tiny model: alike alone and in company, streamed as whole, within what is allowed."""

import math
from typing import Any

import pytest
import torch

from tunesmith.core.errors import ConfigError, DataError
from tunesmith.models.cached_decoder import CachedDecoder
from tunesmith.models.constraints import Choices, choice_trie
from tunesmith.models.decoding import Decoding
from tunesmith.models.packed import PackedLinear
from tunesmith.models.writer import Writer

LENGTHS = (3, 17, 1, 8, 9, 30, 8)
ENDS = (7, 20, 33, 41)


def letters(ids: Any) -> str:
    """A reader for 60 tokens."""
    return "".join(chr(40 + token) for token in ids)


def writer(pair: Any, **options: Any) -> Writer:
    return Writer(CachedDecoder(pair.decoder), pair.head, **({"ends": ENDS, "read": letters} | options))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"strategy": "sample", "temperature": 1.5, "top_k": 30, "top_p": 0.95, "seed": 4},
        {"strategy": "beam", "beams": 3},
    ],
    ids=["greedy", "sample", "beam"],
)
def test_a_text_is_answered_alike_alone_and_in_company(either: Any, options: dict[str, Any]) -> None:
    prompts, decoding = either.prompts(*LENGTHS), Decoding(max_new_tokens=12, **options)
    together = writer(either).write(prompts, decoding)
    apart = [writer(either).write([prompt], decoding)[0] for prompt in prompts]
    small = writer(either, batch_tokens=60).write(prompts, decoding)
    assert [answer.ids for answer in together] == [answer.ids for answer in apart] == [answer.ids for answer in small]
    for one, other in zip(together, apart, strict=True):
        assert (one.text, one.reason) == (other.text, other.reason)
        assert one.log_probability == pytest.approx(other.log_probability, abs=1e-4)


def test_what_is_drawn_differs_by_seed_and_by_repetition(llama: Any) -> None:
    prompts = [*llama.prompts(6), *llama.prompts(6)]
    decoding = Decoding(strategy="sample", max_new_tokens=12, temperature=2.0)
    first, second = writer(llama, ends=()).write(prompts, decoding)
    assert first.ids != second.ids
    other = Decoding(strategy="sample", max_new_tokens=12, temperature=2.0, seed=1)
    assert writer(llama, ends=()).write(prompts, other)[0].ids != first.ids


@pytest.mark.parametrize("strategy", ["greedy", "sample", "beam"])
def test_the_log_probability_is_the_models_own(llama: Any, strategy: Any) -> None:
    prompts = llama.prompts(5, 9)
    decoding = Decoding(strategy=strategy, max_new_tokens=6, repetition_penalty=1.2)
    for prompt, answer in zip(prompts, writer(llama, ends=()).write(prompts, decoding), strict=True):
        with torch.inference_mode():
            logits = llama.theirs(input_ids=torch.tensor([prompt + list(answer.ids)])).logits[0]
        own = logits.log_softmax(-1)[len(prompt) - 1 : -1].gather(1, torch.tensor(answer.ids)[:, None]).sum()
        assert answer.log_probability == pytest.approx(float(own), abs=1e-3)


def test_pieces_of_a_stream_are_the_whole(llama: Any) -> None:
    prompts, decoding = llama.prompts(*LENGTHS), Decoding(max_new_tokens=20, stop=["HH", "L"])
    whole = writer(llama).write(prompts, decoding)
    pieces = list(writer(llama).stream(prompts, decoding))
    assert len(pieces) > len(prompts)
    for index, answer in enumerate(whole):
        own = [piece for piece in pieces if piece.index == index]
        assert "".join(piece.text for piece in own) == answer.text
        assert tuple(token for piece in own for token in piece.ids) == answer.ids
        assert [piece.reason for piece in own] == [None] * (len(own) - 1) + [answer.reason]


def test_a_stop_string_ends_an_answer_and_is_no_part_of_it(llama: Any) -> None:
    (prompt,) = llama.prompts(6)
    free = writer(llama, ends=()).write([prompt], Decoding(max_new_tokens=12))[0]
    assert free.text is not None and free.reason == "length"
    stop = free.text[4:7]
    first = free.text.index(stop)
    answer = writer(llama, ends=()).write([prompt], Decoding(max_new_tokens=12, stop=[stop]))[0]
    assert (answer.text, answer.reason) == (free.text[:first], "stop")
    assert answer.ids == free.ids[: first + 3]


def test_a_closed_list_of_choices(either: Any) -> None:
    prompts = either.prompts(*LENGTHS)
    choices = [(5, 6, 8), (5, 6, 9), (10,), (11, 12), (11, 12, 13)]
    trie = choice_trie(choices, ENDS)
    answers = writer(either).write(prompts, Decoding(), constraint=lambda _: Choices(trie))
    assert {answer.ids for answer in answers} <= set(choices)
    for prompt, answer in zip(prompts, answers, strict=True):
        assert answer.reason == ("stop" if answer.ids == (11, 12) else "constraint")
        with torch.inference_mode():
            logits = either.theirs(input_ids=torch.tensor([prompt])).logits[0, -1]
        assert answer.ids[0] == max((5, 10, 11), key=lambda token: float(logits[token]))
    drawn = writer(either).write(prompts, Decoding(strategy="sample"), constraint=lambda _: Choices(trie))
    assert {answer.ids for answer in drawn} <= set(choices)


def test_choices_that_cannot_be_told_apart_are_refused() -> None:
    with pytest.raises(ConfigError, match="begins with another"):
        choice_trie([(1, 2), (1, 2, 3)], ())
    for choices in ([], [(1,), ()]):
        with pytest.raises(ConfigError, match="needs a token"):
            choice_trie(choices, ENDS)


def test_what_cannot_be_asked_for_is_refused(llama: Any) -> None:
    prompts = llama.prompts(4)
    with pytest.raises(ConfigError, match=r"decoding\.stop"):
        writer(llama, read=None).write(prompts, Decoding(stop=["."]))
    with pytest.raises(ConfigError, match="beams"):
        choices = choice_trie([(5,)], ENDS)
        writer(llama).write(prompts, Decoding(strategy="beam"), constraint=lambda _: Choices(choices))
    for prompt in ([], [5] * 96):
        with pytest.raises(DataError, match="prompt 2"):
            writer(llama).write([*prompts, prompt], Decoding())
    assert writer(llama).write([], Decoding()) == []


@pytest.mark.parametrize("strategy", ["greedy", "beam"])
def test_bf16_writes_with_a_head_of_either_format(llama: Any, strategy: Any) -> None:
    model, prompts = CachedDecoder(llama.decoder, dtype=torch.bfloat16), llama.prompts(5, 9)
    decoding = Decoding(strategy=strategy, max_new_tokens=4)
    packed = PackedLinear(llama.decoder.words.weight, None, dtype=torch.bfloat16)
    for head in (packed, lambda hidden: llama.head(hidden.float())):
        answers = Writer(model, head, ends=ENDS).write(prompts, decoding)
        assert all(math.isfinite(answer.log_probability) for answer in answers)


def test_without_a_reader_there_are_ids_and_no_text(llama: Any) -> None:
    answer = writer(llama, read=None).write(llama.prompts(4), Decoding(max_new_tokens=3))[0]
    assert answer.text is None and answer.ids
