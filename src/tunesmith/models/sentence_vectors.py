"""One vector for a whole text, so that the cosine of two of them says how alike their texts are to a backbone.

    v = mean of h over the tokens of the window,  then v / |v|

Worth something for backbones that were trained to embed sentences; for others it tells little.
Source: Reimers & Gurevych 2019, Sentence-BERT, section 3 (mean pooling).
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from tunesmith.core.batch import Encoding, collate
from tunesmith.core.model import Backbone
from tunesmith.models.inference import batches_by_length


def sentence_vectors(
    backbone: Backbone, windows: Sequence[Encoding], *, batch_tokens: int = 4096
) -> NDArray[np.float32]:
    """[n, D], the rows of length 1, one for each of the n windows, in order. The backbone is left in its mode."""
    vectors = np.zeros((len(windows), backbone.width), np.float32)
    training = backbone.training
    backbone.eval()
    try:
        for group in batches_by_length([len(window) for window in windows], batch_tokens):
            batch = collate([windows[index] for index in group], [""] * len(group))
            with torch.inference_mode():
                hidden = backbone(batch).float()
            for index, rows in zip(group, hidden.split(batch.window_lengths), strict=True):
                mean = rows.mean(0)
                vectors[index] = (mean / mean.norm().clamp(min=1e-12)).numpy()
    finally:
        backbone.train(training)
    return vectors
