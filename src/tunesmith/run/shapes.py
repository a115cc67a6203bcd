"""Memory that grows with every new shape, met ahead of time.

In bf16 on a processor the matrix library compiles a kernel for each shape of a product and keeps the last thousand. A
short run of steps meets few of the shapes of attention (windows of a chunk, and its longest), and its memory says
little about a long one's. Here the shapes that the run's batches will bring are shown to a single attention, forward
and backward: the same kernels for a small part of the work.
"""

from collections.abc import Iterator
from typing import Final

import torch

from tunesmith.models.attention import LOWEST_BF16, attend
from tunesmith.models.encoder import Encoder
from tunesmith.models.ragged import plan
from tunesmith.tune.training import Training

ENOUGH: Final = 200
"""Shapes; a training step makes about six kernels of each, so that beyond these old ones make room for new ones."""
MOST_BATCHES: Final = 2000


def meet_shapes(training: Training, lengths: Iterator[tuple[int, ...]]) -> int:
    """Show attention the shapes of batches with these lengths of windows; returns how many were new.

    Nothing is done where shapes leave no trace: in fp32, on a GPU, in a backbone that is not ours.
    """
    backbone = training.objective.model.backbone
    if training.choice.precision != "bf16" or training.device.type != "cpu" or not isinstance(backbone, Encoder):
        return 0
    shape = backbone.shape
    learns = any(parameter.requires_grad for parameter in backbone.parameters())
    seen: set[tuple[int, int]] = set()
    for _, batch in zip(range(MOST_BATCHES), lengths, strict=False):
        layout = plan(batch, training.device)
        shapes = {(chunk.windows, chunk.longest) for chunk in layout.chunks if chunk.longest > LOWEST_BF16}
        if shapes <= seen:
            continue
        seen |= shapes
        qkv = torch.zeros(sum(batch), 3 * shape.width, dtype=torch.bfloat16, requires_grad=learns)
        mixed = attend(qkv, layout, heads=shape.heads, dropout=shape.attention_dropout)
        if learns:  # a frozen backbone is never asked for its gradients
            mixed.sum().backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        if len(seen) >= ENOUGH:
            break
    return len(seen)
