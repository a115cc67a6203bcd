"""Logits of many windows: batched by length inside, handed back in the order given, with flat memory."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

import torch
from torch import Tensor

from tunesmith.core.batch import Encoding, collate
from tunesmith.core.model import Model

CHUNK = 2048
"""Windows that are sorted together; a stream never holds more."""


def logits_of(
    model: Model,
    encodings: Iterable[Encoding],
    *,
    batch_tokens: int = 4096,
    progress: Callable[[int], None] | None = None,
) -> Iterator[tuple[int, Tensor]]:
    """(index, logits [m, C] fp32 on the CPU) of every window, in the order given.

    `encodings` may be a stream: it is read `CHUNK` windows at a time. `batch_tokens` bounds the tokens of one forward
    pass (a longer window runs alone); `progress` receives the number of windows finished by each pass. The model runs
    in evaluation mode and is put back into the mode it was in.
    """
    stream = iter(encodings)
    start = 0
    while part := list(islice(stream, CHUNK)):
        for offset, logits in enumerate(_logits(model, part, batch_tokens, progress)):
            yield start + offset, logits
        start += len(part)


def batches_by_length(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Indices in groups of at most `batch_tokens` tokens (at least one window), longest first."""
    group: list[int] = []
    tokens = 0
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if group and tokens + lengths[index] > batch_tokens:
            yield group
            group, tokens = [], 0
        group.append(index)
        tokens += lengths[index]
    if group:
        yield group


def _logits(
    model: Model, part: Sequence[Encoding], batch_tokens: int, progress: Callable[[int], None] | None
) -> list[Tensor]:
    found: list[Tensor | None] = [None] * len(part)
    device = next(model.parameters()).device
    training = model.training
    if training:  # walking through all modules costs as much as a tenth of a short request
        model.eval()
    try:
        for group in batches_by_length([len(encoding) for encoding in part], batch_tokens):
            batch = collate([part[index] for index in group], [""] * len(group)).to(device)
            with torch.inference_mode():
                logits = model(batch).logits.float().cpu()
            for index, rows in zip(group, logits.split(batch.place_counts), strict=True):
                found[index] = rows.clone()  # a view would keep the whole batch alive
            if progress is not None:
                progress(len(group))
    finally:
        if training:
            model.train()
    return [logits for logits in found if logits is not None]
