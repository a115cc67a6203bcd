"""What may make a run fit into less memory, the cheapest loss first, as the `--set` arguments to type.

1. smaller batches, summed up again by accumulation    the gradient stays the same; a little slower
2. the inside of layers computed twice                 the same result; about a third slower
3. bf16 where the run would be in fp32                 rounding; faster where the processor has it
4. low-rank updates where everything learns            another method: its own rate, now and then a lower score
"""

from collections.abc import Iterator, Mapping
from typing import Final

from tunesmith.tune.settings import DEFAULT_BATCH, TrainSettings

PARTS: Final = (2, 8)
"""Into how many parts a batch is cut, one remedy each"""

Assignments = Mapping[str, str]
"""Keys with their values as TOML"""


def remedies(
    settings: TrainSettings, *, method: str, precision: str, silver: int | None = None
) -> Iterator[Assignments]:
    """The remedies that a run with these settings, method and (resolved) precision has left, each on its own.

    `silver` is the batch size of silver pairs where they have one of their own: they share what is accumulated.
    """
    sizes = dict.fromkeys(_part(settings, parts) for parts in PARTS)
    for size in sizes:
        if size < _size(settings):
            name = "batch_tokens" if settings.windows is None else "batch_size"
            times = _size(settings) // size
            pairs = {"silver.batch_size": str(max(1, silver // times))} if silver else {}
            yield {f"train.{name}": str(size), "train.accumulate": str(settings.accumulate * times)} | pairs
    if not settings.gradient_checkpointing:
        yield {"train.gradient_checkpointing": "true"}
    if precision == "fp32":
        yield {"train.precision": '"bf16"'}
    if method == "full":
        yield {"method": '"lora"'}


def typed(assignments: Assignments) -> tuple[str, ...]:
    """As `--set` takes them."""
    return tuple(f"{key}={value}" for key, value in assignments.items())


def _size(settings: TrainSettings) -> int:
    return settings.batch_tokens or settings.windows or DEFAULT_BATCH


def _part(settings: TrainSettings, parts: int) -> int:
    """A batch in so many parts, or as many as divide it evenly: a group then holds the same windows as before."""
    size = _size(settings)
    return next((part for part in range(size // parts, 0, -1) if size % part == 0), 1)
