"""What a model says of many windows: batched by length inside, handed back in the order given, with flat memory."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

import torch
from torch import Tensor

from tunesmith.core.batch import Batch, Encoding, collate
from tunesmith.core.model import Model, Output

CHUNK = 2048
"""Windows that are sorted together; a stream never holds more."""

WRITING_TOKENS = 1024
"""Tokens of one forward pass where every place has logits over a vocabulary"""
Read = Callable[[Output, Batch], Tensor]
"""What is kept of the output for a batch, [M, ...]."""


def logits(output: Output, batch: Batch) -> Tensor:
    """[M, C], all that a head says."""
    return output.logits


def logits_of(
    model: Model,
    encodings: Iterable[Encoding],
    *,
    batch_tokens: int = 4096,
    progress: Callable[[int], None] | None = None,
    read: Read = logits,
) -> Iterator[tuple[int, Tensor]]:
    """(index, logits [m, C] fp32 on the CPU) of every window, in the order given; or what `read` keeps of them.

    `encodings` may be a stream: it is read `CHUNK` windows at a time. `batch_tokens` bounds the tokens of one forward
    pass (a longer window runs alone); `progress` receives the number of windows finished by each pass. The model runs
    in evaluation mode and is put back into the mode it was in.
    """
    stream = iter(encodings)
    start = 0
    while part := list(islice(stream, CHUNK)):
        for offset, kept in enumerate(_kept(model, part, batch_tokens, progress, read)):
            yield start + offset, kept
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


def _kept(
    model: Model, part: Sequence[Encoding], batch_tokens: int, progress: Callable[[int], None] | None, read: Read
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
                kept = read(model(batch), batch).float().cpu()
            for index, rows in zip(group, torch.split(kept, list(batch.place_counts)), strict=True):
                found[index] = rows.clone()  # a view would keep the whole batch alive
            if progress is not None:
                progress(len(group))
    finally:
        if training:
            model.train()
    return [rows for rows in found if rows is not None]
