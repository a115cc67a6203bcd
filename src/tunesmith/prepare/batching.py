"""Which windows train together: random batches, decided by seed and epoch alone.

Batches are not sorted by length: rows laid end to end waste nothing when a long window stands beside a short one, and
a batch stays a fair sample. Inside a batch the longest window comes first, as the attention core likes it.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from tunesmith.core.errors import ConfigError, Place


def plan_epoch(
    lengths: Sequence[int],
    *,
    batch_size: int | None,
    batch_tokens: int | None,
    seed: int,
    epoch: int,
    owners: Sequence[int] | None = None,
) -> list[tuple[int, ...]]:
    """Indices of the windows of each batch; every index occurs once.

    A batch closes before it would exceed `batch_size` windows or `batch_tokens` tokens; a window that is longer than
    the budget stands alone. The same arguments give the same plan on every machine. With `owners` the windows of one
    owner are never parted, and `batch_size` counts owners.

    Args:
        lengths: Tokens of each window.
        batch_size: Windows in a batch, or None for no limit.
        batch_tokens: Tokens in a batch, or None for no limit.
        seed: The run's seed.
        epoch: From 0; each has another order.
        owners: For each window, the example it belongs to.

    Raises:
        ConfigError: neither limit is given, or one is below 1.
    """
    for key, limit in (("train.batch_size", batch_size), ("train.batch_tokens", batch_tokens)):
        if limit is not None and limit < 1:
            raise ConfigError(
                f"{limit} is not a batch", code="TS-CONF-040", place=Place(key=key), fix="give at least 1."
            )
    if batch_size is None and batch_tokens is None:
        raise ConfigError(
            "a batch has no limit",
            code="TS-CONF-041",
            place=Place(key="train.batch_size"),
            fix="give train.batch_size or train.batch_tokens.",
        )
    blocks = [(index,) for index in range(len(lengths))] if owners is None else blocks_of(range(len(owners)), owners)
    batches: list[tuple[int, ...]] = []
    open_batch: list[int] = []
    held, tokens = 0, 0
    for block in (blocks[index] for index in _order(len(blocks), seed, epoch)):
        length = sum(lengths[index] for index in block)
        full = batch_size is not None and held == batch_size
        heavy = batch_tokens is not None and tokens + length > batch_tokens
        if open_batch and (full or heavy):
            batches.append(_longest_first(open_batch, lengths))
            open_batch, held, tokens = [], 0, 0
        open_batch += block
        held += 1
        tokens += length
    if open_batch:
        batches.append(_longest_first(open_batch, lengths))
    return batches


def blocks_of(indices: Iterable[int], owners: Sequence[int]) -> list[tuple[int, ...]]:
    """The windows `indices` of each owner, in the order in which owners come up; `owners` are those of all windows."""
    found: dict[int, list[int]] = {}
    for index in indices:
        found.setdefault(owners[index], []).append(index)
    return [tuple(block) for block in found.values()]


def _order(count: int, seed: int, epoch: int) -> list[int]:
    # RandomState: numpy promises that its streams never change, which it does not for the newer Generator.
    state = np.random.RandomState(np.random.MT19937(np.random.SeedSequence((seed, epoch))))
    return [int(index) for index in state.permutation(count)]


def _longest_first(batch: Sequence[int], lengths: Sequence[int]) -> tuple[int, ...]:
    return tuple(sorted(batch, key=lambda index: (-lengths[index], index)))
