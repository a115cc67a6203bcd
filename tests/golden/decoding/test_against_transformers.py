"""What is written equals `generate` of transformers token for token, on random weights and unequal prompts."""

import copy
from functools import partial
from typing import Any

import pytest
import torch.nn.functional as F

from tunesmith.models.cached_decoder import CachedDecoder
from tunesmith.models.decoding import Decoding
from tunesmith.models.recomputed import RecomputedModel
from tunesmith.models.writer import Writer

LENGTHS = (3, 17, 1, 8, 9, 30, 8)


def written(pair: Any, prompts: list[list[int]], ends: tuple[int, ...], **options: Any) -> list[list[int]]:
    writer = Writer(CachedDecoder(pair.decoder), pair.head, ends=ends)
    return [list(answer.ids) for answer in writer.write(prompts, Decoding(**options))]


@pytest.mark.parametrize("ends", [(), (7, 20, 33, 41)])
def test_the_likeliest_tokens_are_those_of_transformers(pair: Any, ends: tuple[int, ...]) -> None:
    prompts = pair.prompts(*LENGTHS)
    expected = pair.generated(prompts, max_new_tokens=40, eos_token_id=list(ends) or None)
    assert written(pair, prompts, ends, max_new_tokens=40) == expected
    if len(ends) > 1:
        assert len({len(answer) for answer in expected}) > 2, "some should end early, else this tests little"


def test_so_they_are_where_everything_is_read_again_at_every_step(either: Any) -> None:
    prompts = either.prompts(*LENGTHS)
    writer = Writer(RecomputedModel(either.decoder), either.head, ends=(7, 20, 33, 41))
    answers = writer.write(prompts, Decoding(max_new_tokens=12))
    expected = either.generated(prompts, max_new_tokens=12, eos_token_id=[7, 20, 33, 41])
    assert [list(answer.ids) for answer in answers] == expected


def test_repeated_tokens_are_penalised_alike(either: Any) -> None:
    prompts = either.prompts(*LENGTHS)
    # one at a time: in a batch transformers takes the padding on the left for a token that has occurred
    expected = [
        either.generated([prompt], max_new_tokens=20, eos_token_id=[7, 20], repetition_penalty=1.3)[0]
        for prompt in prompts
    ]
    assert written(either, prompts, (7, 20), max_new_tokens=20, repetition_penalty=1.3) == expected


@pytest.mark.parametrize(
    "ends, beams, length_penalty",
    [((), 2, 1.0), ((7,), 4, 0.0), ((7,), 3, 1.0), ((7, 20, 33), 5, 2.0), ((7, 20, 33), 3, -1.0)],
)
def test_beams_are_those_of_transformers(either: Any, ends: tuple[int, ...], beams: int, length_penalty: float) -> None:
    prompts = either.prompts(*LENGTHS[:5], seed=beams)
    expected = either.generated(
        prompts, max_new_tokens=15, eos_token_id=list(ends) or None, num_beams=beams, length_penalty=length_penalty
    )
    options = {"strategy": "beam", "beams": beams, "length_penalty": length_penalty, "max_new_tokens": 15}
    assert written(either, prompts, ends, **options) == expected


def test_beams_with_a_penalty_are_too(either: Any) -> None:
    prompts = either.prompts(5, 9, 14, seed=9)
    options: dict[str, Any] = {"max_new_tokens": 12, "repetition_penalty": 1.4}
    expected = [either.generated([prompt], eos_token_id=[7, 20], num_beams=3, **options)[0] for prompt in prompts]
    assert written(either, prompts, (7, 20), strategy="beam", beams=3, **options) == expected


@pytest.mark.gpu
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"repetition_penalty": 1.3},
        {"strategy": "beam", "beams": 3},
        {"strategy": "sample", "temperature": 1.5, "top_p": 0.95, "seed": 4},
    ],
    ids=str,
)
def test_a_gpu_writes_what_the_processor_writes(pair: Any, options: dict[str, Any]) -> None:
    prompts, ends = pair.prompts(*LENGTHS), (7, 20, 33, 41)
    decoder = copy.deepcopy(pair.decoder).to("cuda")
    head = partial(F.linear, weight=pair.head.keywords["weight"].cuda())
    answers = Writer(CachedDecoder(decoder), head, ends=ends).write(prompts, Decoding(max_new_tokens=20, **options))
    assert [list(answer.ids) for answer in answers] == written(pair, prompts, ends, max_new_tokens=20, **options)
