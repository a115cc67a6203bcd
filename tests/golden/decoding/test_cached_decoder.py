"""Rows that go through the cache have the hidden states that the decoder gives when it reads the whole text."""

import copy
from typing import Any

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from tunesmith.core.errors import ConfigError
from tunesmith.core.model import Model
from tunesmith.core.rooms import METHODS
from tunesmith.models import key_value_cache
from tunesmith.models.cached_decoder import CachedDecoder
from tunesmith.models.decoding import Decoding
from tunesmith.models.key_value_cache import grouped
from tunesmith.models.recomputed import RecomputedModel
from tunesmith.models.surgery import apply_method, merge
from tunesmith.models.writer import Writer

LENGTHS = (30, 17, 9, 8, 8, 3, 1)
TUNED: list[dict[str, Any]] = [
    {"kind": "full"},
    {"kind": "ia3"},
    {"kind": "lora", "rank": 2, "targets": ["query", "value", "output", "up", "down"]},
    {"kind": "lora", "rank": 2, "decomposed": True},
    {"kind": "adalora", "rank": 3, "target_rank": 2},
    {"kind": "adapter", "size": 4, "placement": "houlsby"},
    {"kind": "prefix", "length": 5},
    {"kind": "prefix", "length": 5, "projected": True, "hidden": 8},
    {"kind": "soft_prompt", "length": 4},
    {"kind": "soft_prompt", "length": 4, "network": "mlp", "hidden": 8},
    {"kind": "soft_prompt", "length": 4, "network": "lstm", "hidden": 8},
]


def tuned(backbone: Any, table: dict[str, Any]) -> Model:
    """A copy of the backbone with a method's wrappers in place, moved away from where they start."""
    model = Model(copy.deepcopy(backbone), nn.Identity())
    torch.manual_seed(0)
    apply_method(model, METHODS.make(table, key="method"))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    return model.eval()


def same_states(own: CachedDecoder, reference: RecomputedModel, prompts: list[list[int]], steps: int = 6) -> None:
    (state, hidden), (other, expected) = own.prefill(prompts), reference.prefill(prompts)
    rows = torch.arange(len(prompts))
    for step in range(steps):
        assert_close(hidden, expected, atol=1e-5, rtol=1e-5)
        if step == 2:  # two texts leave
            rows = torch.tensor([0, 2, 3, 5, 6])
        elif step == 4:  # and two are doubled, as beams are
            rows = torch.tensor([0, 0, 1, 2, 2])
        if step in (2, 4):
            state.reorder(rows)
            other.reorder(rows)
        tokens = torch.randint(4, 60, (len(rows),), generator=torch.Generator().manual_seed(step))
        hidden, expected = state.step(tokens), other.step(tokens)


@pytest.mark.parametrize("table", TUNED, ids=lambda table: " ".join(map(str, table.values())))
def test_whatever_a_method_leaves_in_the_decoder(either: Any, table: dict[str, Any]) -> None:
    model, prompts = tuned(either.decoder, table), either.prompts(*LENGTHS)
    reference = RecomputedModel(model.backbone)
    same_states(CachedDecoder(model.backbone), reference, prompts)
    _, expected = reference.prefill(prompts)
    merge(model)
    _, merged = CachedDecoder(model.backbone).prefill(prompts)
    assert_close(merged, expected, atol=1e-5, rtol=1e-5)


def test_every_family(pair: Any) -> None:
    same_states(CachedDecoder(pair.decoder), RecomputedModel(pair.decoder), pair.prompts(*LENGTHS))


def test_many_groups_and_a_cache_that_grows(either: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_value_cache, "_GAP_BYTES", 0)
    monkeypatch.setattr(key_value_cache, "BLOCK", 2)
    same_states(CachedDecoder(either.decoder), RecomputedModel(either.decoder), either.prompts(*LENGTHS), steps=9)


def test_a_group_leaves_few_rows_empty() -> None:
    assert grouped([30, 29, 28, 9, 8, 8, 1], 8) == [(0, 3), (3, 6), (6, 7)]
    assert grouped([5], 0) == [(0, 1)]
    assert grouped([5, 5, 4], 0) == [(0, 2), (2, 3)]


def test_texts_of_other_groups_do_not_change_places(llama: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_value_cache, "_GAP_BYTES", 0)
    state, _ = CachedDecoder(llama.decoder).prefill(llama.prompts(9, 4))
    with pytest.raises(ValueError, match="change places"):
        state.reorder(torch.tensor([1, 0]))


def test_a_text_that_fills_all_positions(either: Any) -> None:
    writer = Writer(CachedDecoder(either.decoder), either.head, ends=())
    long, short = writer.write(either.prompts(93, 4), Decoding(max_new_tokens=12))
    assert (len(long.ids), long.reason) == (3, "length")
    assert (len(short.ids), short.reason) == (12, "length")
    alone = writer.write(either.prompts(93, 4)[1:], Decoding(max_new_tokens=12))
    assert alone[0].ids == short.ids


def test_a_module_that_nobody_knows_is_refused(llama: Any) -> None:
    model = tuned(llama.decoder, {"kind": "full"})
    for place in ("backbone.layers.1.attention.core", "backbone.layers.0.feed_forward.up"):
        before = model.get_submodule(place)
        model.set_submodule(place, nn.Identity())
        with pytest.raises(ConfigError, match="Identity"):
            CachedDecoder(model.backbone)  # type: ignore[arg-type]
        model.set_submodule(place, before)


def test_bf16_is_near(either: Any) -> None:
    prompts = either.prompts(*LENGTHS)
    (half, near), (whole, exact) = (
        CachedDecoder(either.decoder, dtype=dtype).prefill(prompts) for dtype in (torch.bfloat16, torch.float32)
    )
    assert near.dtype == torch.bfloat16
    assert_close(near.float(), exact, atol=0.3, rtol=0.1)
    tokens = torch.arange(4, 4 + len(prompts))
    assert_close(half.step(tokens).float(), whole.step(tokens), atol=0.3, rtol=0.1)


def test_a_backbone_of_transformers_writes_what_transformers_writes(hosted: Any) -> None:
    prompts = hosted.prompts(5, 9, 1)
    writer = Writer(RecomputedModel(hosted.decoder), hosted.head, ends=(7, 20))
    answers = writer.write(prompts, Decoding(max_new_tokens=8))
    expected = hosted.generated(prompts, max_new_tokens=8, eos_token_id=[7, 20])
    assert [list(answer.ids) for answer in answers] == expected
