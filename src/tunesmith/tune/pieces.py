"""What a run does when memory runs out: every batch goes through the model in twice as many pieces, one at a time.

Losses are sums that are divided by the counts of the whole accumulation group, so the gradient stays that of the whole
batch; only the draws of dropout are others. A term that compares the examples of a batch sees fewer of them at once.
"""

from collections.abc import Iterator, Sequence

from tunesmith.core.errors import MemoryLimitError, Place

Indices = tuple[int, ...]


def cut(batches: Sequence[Indices], pieces: int) -> list[Indices]:
    """Each batch of window indices in at most so many pieces, each longest first, the long windows dealt evenly."""
    return [piece for batch in batches for piece in _dealt(batch, pieces)]


def _dealt(batch: Indices, pieces: int) -> Iterator[Indices]:
    return (batch[start::pieces] for start in range(min(pieces, len(batch))))


def doubled(batches: Sequence[Indices], pieces: int) -> int:
    """Twice as many pieces.

    Raises:
        MemoryLimitError: the windows go through the model one by one already.
    """
    if pieces >= max(len(batch) for batch in batches):
        raise MemoryLimitError(
            "memory does not hold a single window of the training rows and its gradient",
            code="TS-TUNE-012",
            place=Place(key="train.batch_size"),
            fix="free memory, then go on with --resume; or begin a new run with train.gradient_checkpointing = true, a "
            "shorter window (task.max_length), method lora or a smaller backbone.",
        )
    return 2 * pieces
