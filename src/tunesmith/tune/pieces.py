"""What a run does when memory runs out: every batch goes through the model in twice as many pieces, one at a time.

Losses are sums that are divided by the counts of the whole accumulation group, so the gradient stays that of the whole
batch; only the draws of dropout are others. A term that compares the examples of a batch sees fewer of them at once.
"""

from collections.abc import Iterator, Sequence

from tunesmith.core.errors import MemoryLimitError, Place
from tunesmith.prepare.batching import blocks_of

Indices = tuple[int, ...]


def cut(batches: Sequence[Indices], pieces: int, *, owners: Sequence[int] | None = None) -> list[Indices]:
    """Each batch of window indices in at most so many pieces, each longest first, the long windows dealt evenly.

    With `owners`, the example of every window, those of one example stay in one piece.
    """
    return [piece for batch in batches for piece in _dealt(batch, pieces, owners)]


def _dealt(batch: Indices, pieces: int, owners: Sequence[int] | None) -> Iterator[Indices]:
    if owners is None:
        yield from (batch[start::pieces] for start in range(min(pieces, len(batch))))
        return
    blocks = blocks_of(batch, owners)
    for start in range(min(pieces, len(blocks))):
        kept = {index for block in blocks[start::pieces] for index in block}
        yield tuple(index for index in batch if index in kept)


def doubled(batches: Sequence[Indices], pieces: int, *, owners: Sequence[int] | None = None) -> int:
    """Twice as many pieces.

    Raises:
        MemoryLimitError: the windows, or the examples that `owners` keep whole, go through one by one already.
    """
    if pieces >= max(len(batch if owners is None else blocks_of(batch, owners)) for batch in batches):
        raise MemoryLimitError(
            "memory does not hold a single window of the training rows and its gradient",
            code="TS-TUNE-012",
            place=Place(key="train.batch_size"),
            fix="free memory, then go on with --resume; or begin a new run with train.gradient_checkpointing = true, a "
            "shorter window (task.max_length), method lora or a smaller backbone.",
        )
    return 2 * pieces
