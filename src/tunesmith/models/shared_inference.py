"""What several models over one shared encoder say of the windows of each, all windows in the same passes."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tunesmith.core.batch import Encoding, collate
from tunesmith.core.model import Model, window_means
from tunesmith.models.inference import batches_by_length
from tunesmith.models.shared_encoder import Asked, SharedBackbone


def logits_side_by_side(
    asked: Sequence[tuple[Model, Sequence[Encoding]]],
    *,
    batch_tokens: int = 4096,
    progress: Callable[[int], None] | None = None,
) -> list[list[Tensor]]:
    """For each model, whose backbone is a `SharedBackbone` of one encoder, the logits [m, C] fp32 of its windows.

    Windows of all models are sorted by length together; a pass holds at most `batch_tokens` tokens, and no more than
    one longer window. `progress` receives the number of windows finished by each pass.
    """
    flat = [(own, at) for own, (_, windows) in enumerate(asked) for at in range(len(windows))]
    found: list[list[Tensor | None]] = [[None] * len(windows) for _, windows in asked]
    for group in batches_by_length([len(asked[own][1][at]) for own, at in flat], batch_tokens):
        mine: dict[int, list[int]] = {}
        for own, at in sorted((flat[index] for index in group), key=lambda place: place[0]):
            mine.setdefault(own, []).append(at)
        with torch.inference_mode():
            said = _said([(asked[own][0], [asked[own][1][at] for at in places]) for own, places in mine.items()])
        for (own, places), logits in zip(mine.items(), said, strict=True):
            for at, rows in zip(places, logits, strict=True):
                found[own][at] = rows.clone()  # a view would keep the whole batch alive
        if progress is not None:
            progress(len(group))
    return [[rows for rows in own if rows is not None] for own in found]


def _said(asked: Sequence[tuple[Model, Sequence[Encoding]]]) -> list[tuple[Tensor, ...]]:
    """One pass: for each model the logits of each of its windows."""
    batches = [collate(windows, [""] * len(windows)) for _, windows in asked]
    backbones = [model.backbone for model, _ in asked if isinstance(model.backbone, SharedBackbone)]
    wanted = [
        Asked(backbone.name, batch, None if batch.pooled else batch.places)
        for backbone, batch in zip(backbones, batches, strict=True)
    ]
    hidden = backbones[0].shared.read(wanted)
    rows = [window_means(own, batch) if batch.pooled else own for own, batch in zip(hidden, batches, strict=True)]
    logits = [model.head(own).float() for (model, _), own in zip(asked, rows, strict=True)]
    return [torch.split(own, list(batch.place_counts)) for own, batch in zip(logits, batches, strict=True)]
