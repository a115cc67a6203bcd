"""One vector for a whole text, so that the cosine of two of them says how alike their texts are to a backbone.

    v = mean of h over the places of the window,  then v / |v|

The places are all tokens (mean), the first one (cls), or the last one, which alone has seen the text where the backbone
is causal. Worth something for backbones that were trained to embed sentences; for others it tells little.
Source: Reimers & Gurevych 2019, Sentence-BERT, section 3.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tunesmith.core.batch import Batch, Encoding, collate
from tunesmith.core.model import Backbone
from tunesmith.models.inference import batches_by_length


def pooled(hidden: Tensor, counts: Sequence[int]) -> Tensor:
    """[M, D] at the places of W windows, `counts` [W] of them each, to [W, D] of length 1 in fp32 (or fp64).

    A window without a place (one that rounds a batch up) has no vector and is left out.
    """
    hidden = hidden.to(torch.promote_types(hidden.dtype, torch.float32))
    held = torch.tensor([count for count in counts if count], device=hidden.device)
    owner = torch.repeat_interleave(held, output_size=len(hidden))
    mean = hidden.new_zeros(len(held), hidden.shape[1]).index_add(0, owner, hidden) / held[:, None]
    vectors: Tensor = mean / mean.norm(dim=-1, keepdim=True).clamp(min=1e-12)
    return vectors


def first_places(batch: Batch) -> Tensor:
    """[W] where in M the places of each window begin, for the windows that have any, as `pooled` has them."""
    held = torch.tensor([count for count in batch.place_counts if count])
    return (held.cumsum(0) - held).to(batch.places.device)


def sentence_vectors(
    backbone: Backbone,
    windows: Sequence[Encoding],
    *,
    batch_tokens: int = 4096,
    progress: Callable[[int], None] | None = None,
) -> NDArray[np.float32]:
    """[n, D], the rows of length 1, one for each of the n windows, in order. The backbone is left in its mode.

    `progress` receives the number of windows finished by each pass; what it raises ends the work.
    """
    vectors = np.zeros((len(windows), backbone.width), np.float32)
    device = next(backbone.parameters(), torch.zeros(0)).device
    training = backbone.training
    if training:
        backbone.eval()
    try:
        for group in batches_by_length([len(window) for window in windows], batch_tokens):
            batch = collate([windows[index] for index in group], [""] * len(group)).to(device)
            with torch.inference_mode():
                read = None if batch.pooled else batch.places
                counts = batch.window_lengths if batch.pooled else batch.place_counts
                found = pooled(backbone(batch, places=read), counts)
            vectors[group] = found.float().cpu().numpy()
            if progress is not None:
                progress(len(group))
    finally:
        if training:
            backbone.train()
    return vectors
