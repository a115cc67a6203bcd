"""Order, batching and flat memory of bulk inference."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from tunesmith.core.batch import Encoding, collate
from tunesmith.core.model import Backbone, Model
from tunesmith.models import inference
from tunesmith.models.heads import token_head
from tunesmith.models.inference import batches_by_length, logits_of


@pytest.fixture
def model(tiny_backbone: Backbone) -> Model:
    return Model(tiny_backbone, token_head(tiny_backbone, 3))


def windows(count: int) -> list[Encoding]:
    draw = np.random.default_rng(0)
    lengths = draw.integers(2, 30, count)
    return [
        Encoding(
            example=index,
            input_ids=draw.integers(5, 90, length).astype(np.int32),
            segment_ids=None,
            places=np.arange(1, 1 + draw.integers(0, length), dtype=np.int32),
            units=np.arange(length, dtype=np.int32),
            targets=None,
        )
        for index, length in enumerate(lengths)
    ]


@pytest.mark.parametrize("chunk", [7, 2048])
def test_every_window_gets_its_own_logits_in_the_order_given(
    model: Model, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference, "CHUNK", chunk)
    given = windows(40)
    model.eval()
    for expected, (index, logits) in enumerate(logits_of(model, given, batch_tokens=64)):
        assert index == expected
        assert logits.dtype == torch.float32 and logits.shape == (len(given[index].places), 3)
        alone = model(collate([given[index]], ["x"])).logits
        torch.testing.assert_close(logits, alone.detach(), atol=1e-5, rtol=1e-5)


def test_the_mode_of_the_model_is_put_back(model: Model) -> None:
    model.train()
    list(logits_of(model, windows(3)))
    assert model.training


def test_progress_counts_every_window_once(model: Model) -> None:
    seen: list[int] = []
    list(logits_of(model, windows(20), batch_tokens=50, progress=seen.append))
    assert sum(seen) == 20 and len(seen) > 1


def test_a_stream_is_read_a_chunk_at_a_time(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "CHUNK", 5)
    taken = 0

    def stream() -> Iterator[Encoding]:
        nonlocal taken
        for window in windows(50):
            taken += 1
            yield window

    found = logits_of(model, stream())
    next(found)
    assert taken == 5


def test_batches_respect_the_budget_unless_one_window_exceeds_it() -> None:
    lengths = [3, 50, 8, 8, 1, 12]
    groups = list(batches_by_length(lengths, 16))
    assert sorted(index for group in groups for index in group) == list(range(6))
    assert all(sum(lengths[i] for i in group) <= 16 or len(group) == 1 for group in groups)
