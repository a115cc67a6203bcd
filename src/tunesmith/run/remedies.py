"""What makes a run fit into less memory, the cheapest loss first, as the `--set` arguments to type.

    1. smaller batches, summed up again by accumulation    the gradient stays the same; a little slower
    2. the inside of layers computed twice                 the same result; about a third slower
    3. bf16 where the run would be in fp32                 rounding; faster where the processor has it
    4. low-rank updates where everything learns            another method: its own rate, now and then a lower score

Each rung keeps what those below it set, so that no rung needs more memory than the one before.
"""

from collections.abc import Iterator

from tunesmith.tune.settings import DEFAULT_BATCH, TrainSettings

SMALLEST = 8
"""Into how many parts the first rung and the last of its kind cut a batch"""


def remedies(settings: TrainSettings, *, method: str, precision: str) -> Iterator[tuple[str, ...]]:
    """The rungs for a run with these settings, method and (resolved) precision: each all assignments it needs."""
    smaller: tuple[str, ...] = ()
    for parts in (2, SMALLEST):
        cut = _cut(settings, parts)
        if cut and cut != smaller:
            smaller = cut
            yield smaller
    given = smaller
    further = [
        ("train.gradient_checkpointing=true", not settings.gradient_checkpointing),
        ('train.precision="bf16"', precision == "fp32"),
        ('method="lora"', method == "full"),
    ]
    for assignment, helps in further:
        if helps:
            given = (*given, assignment)
            yield given


def _cut(settings: TrainSettings, parts: int) -> tuple[str, ...]:
    """A batch in `parts` parts, or as many as divide it evenly, so that a group holds the same windows as before."""
    name = "batch_tokens" if settings.windows is None else "batch_size"
    size = settings.batch_tokens or settings.windows or DEFAULT_BATCH
    part = next((part for part in range(size // parts, 0, -1) if size % part == 0), size)
    if part == size:
        return ()
    return f"train.{name}={part}", f"train.accumulate={settings.accumulate * (size // part)}"
