"""What a model says before it has read anything, so that it can be taken off what it says of a text. No label is seen.

    contextual   prior_c = log mean over content-free inputs of p(c)      Zhao et al. 2021, Calibrate before use
    pmi          prior_c = log p(c) where a premise stands for a text     Holtzman et al. 2021, Surface form competition
    batch        prior_c = log mean over training texts of p(c)           Zhou et al. 2024, Batch calibration

Taking the prior off is dividing p(c | text) by it: for `pmi` that is the pointwise mutual information of the label's
words and the text, where the premise is what the two have in common. `pmi` equals `contextual` with the premise as its
one input. `batch` assumes that labels are about as frequent as each other among the texts.
Shapes: C labels.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch

from tunesmith.core.batch import Encoding
from tunesmith.core.example import Example, Source
from tunesmith.core.model import Model
from tunesmith.models.inference import logits_of

Calibration = Literal["none", "contextual", "pmi", "batch"]
CONTENT_FREE = ("N/A", "", "[MASK]")
MOST_TEXTS = 200
"""Training texts that "batch" looks at, evenly spaced"""


def premises(
    kind: Calibration, examples: Sequence[Example], *, content_free: Sequence[str] | None, pairs: bool
) -> list[Example]:
    """The inputs, without gold, that priors are measured on; in a pair both texts are the same."""
    if kind == "batch":
        step = max(1, len(examples) // MOST_TEXTS)
        return [replace(example, gold=None) for example in examples[::step][:MOST_TEXTS]]
    texts = content_free or ([""] if kind == "pmi" else CONTENT_FREE)
    return [
        Example(id=str(line), text=text, pair=text if pairs else None, source=Source("<calibration>", line))
        for line, text in enumerate(texts, 1)
    ]


def log_priors(model: Model, windows: Sequence[Encoding]) -> list[float]:
    """[C] log of the mean probabilities over the windows, to four digits: last bits differ between machines."""
    shares = torch.stack([logits[0].softmax(-1) for _, logits in logits_of(model, windows)])
    return [round(value, 4) for value in shares.mean(0).log().clamp(min=-50).tolist()]
