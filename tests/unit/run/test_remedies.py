"""The remedies against too little memory: the same gradient first, and only what is not set already."""

import pytest

from tunesmith.run.remedies import remedies, typed
from tunesmith.tune.settings import TrainSettings


def test_the_cheapest_loss_comes_first() -> None:
    found = [typed(remedy) for remedy in remedies(TrainSettings(), method="full", precision="fp32")]
    assert found == [
        ("train.batch_size=8", "train.accumulate=2"),
        ("train.batch_size=2", "train.accumulate=8"),
        ("train.gradient_checkpointing=true",),
        ('train.precision="bf16"',),
        ('method="lora"',),
    ]


def test_what_is_set_already_is_no_remedy() -> None:
    settings = TrainSettings(batch_size=1, gradient_checkpointing=True)
    assert list(remedies(settings, method="lora", precision="bf16")) == []


@pytest.mark.parametrize("size, accumulate", [(12, 1), (7, 3), (9, 2), (2, 1), (32, 4)])
def test_a_smaller_batch_learns_from_the_same_windows(size: int, accumulate: int) -> None:
    settings = TrainSettings(batch_size=size, accumulate=accumulate, gradient_checkpointing=True)
    found = list(remedies(settings, method="lora", precision="bf16"))
    assert found
    for remedy in found:
        assert int(remedy["train.batch_size"]) < size
        assert int(remedy["train.batch_size"]) * int(remedy["train.accumulate"]) == size * accumulate


def test_a_batch_of_tokens_is_cut_as_tokens() -> None:
    settings = TrainSettings(batch_tokens=4096)
    first = next(iter(remedies(settings, method="lora", precision="bf16")))
    assert typed(first) == ("train.batch_tokens=2048", "train.accumulate=2")


def test_silver_pairs_share_what_is_accumulated() -> None:
    first, second, *_ = remedies(TrainSettings(batch_size=32), method="full", precision="fp32", silver=64)
    assert first == {"train.batch_size": "16", "train.accumulate": "2", "silver.batch_size": "32"}
    assert second == {"train.batch_size": "4", "train.accumulate": "8", "silver.batch_size": "8"}
