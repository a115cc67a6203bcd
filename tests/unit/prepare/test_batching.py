"""Every window once an epoch, within the limits, in an order that seed and epoch decide."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.core.errors import ConfigError
from tunesmith.prepare.batching import plan_epoch

LENGTHS = st.lists(st.integers(1, 50), max_size=60)


@settings(max_examples=60, deadline=None)
@given(LENGTHS, st.none() | st.integers(1, 9), st.none() | st.integers(1, 120), st.integers(0, 3))
def test_every_window_occurs_once_within_the_limits(
    lengths: list[int], size: int | None, tokens: int | None, epoch: int
) -> None:
    if size is None and tokens is None:
        size = 4
    batches = plan_epoch(lengths, batch_size=size, batch_tokens=tokens, seed=1, epoch=epoch)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        inside = [lengths[index] for index in batch]
        assert inside == sorted(inside, reverse=True)
        assert size is None or len(batch) <= size
        assert tokens is None or sum(inside) <= tokens or len(batch) == 1


def test_batches_are_as_full_as_the_limit_allows() -> None:
    assert [len(batch) for batch in plan_epoch([3] * 10, batch_size=4, batch_tokens=None, seed=0, epoch=0)] == [4, 4, 2]
    assert [len(batch) for batch in plan_epoch([3] * 10, batch_size=None, batch_tokens=10, seed=0, epoch=0)] == [
        3,
        3,
        3,
        1,
    ]


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    def plan(seed: int, epoch: int) -> list[tuple[int, ...]]:
        return plan_epoch([5] * 20, batch_size=4, batch_tokens=None, seed=seed, epoch=epoch)

    assert plan(1, 0) == plan(1, 0)
    assert len({str(plan(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9


def test_the_order_never_changes_between_versions() -> None:
    assert plan_epoch([1] * 8, batch_size=8, batch_tokens=None, seed=0, epoch=0) == [(0, 1, 2, 3, 4, 5, 6, 7)]
    first = [batch[0] for batch in plan_epoch([1] * 8, batch_size=1, batch_tokens=None, seed=0, epoch=0)]
    assert first == [6, 3, 5, 0, 7, 2, 1, 4]


@pytest.mark.parametrize("size, tokens", [(None, None), (0, None), (None, 0), (-1, 5)])
def test_a_batch_without_a_sensible_limit_is_refused(size: int | None, tokens: int | None) -> None:
    with pytest.raises(ConfigError) as caught:
        plan_epoch([1, 2], batch_size=size, batch_tokens=tokens, seed=0, epoch=0)
    assert caught.value.place is not None
    assert str(caught.value.place.key).startswith("train.batch_")


def test_windows_of_one_owner_are_never_parted_and_owners_are_counted() -> None:
    owners = [0, 0, 1, 2, 2, 2, 3, 4]
    lengths = [5, 9, 3, 4, 8, 2, 6, 7]
    for size, tokens in ((2, None), (None, 20)):
        batches = plan_epoch(lengths, batch_size=size, batch_tokens=tokens, seed=0, epoch=1, owners=owners)
        assert sorted(index for batch in batches for index in batch) == list(range(8))
        inside = [{owners[index] for index in batch} for batch in batches]
        assert sum(map(len, inside)) == 5 and all(len(found) <= 2 for found in inside if size)
        assert all(
            [lengths[i] for i in batch] == sorted((lengths[i] for i in batch), reverse=True) for batch in batches
        )
        assert tokens is None or all(sum(lengths[i] for i in batch) <= tokens for batch in batches)
