"""What a bundle computes in while it answers: fp32, in which it was measured, or bf16, which takes half the time.

The two differ in the third digit of a logit, so that a near tie between two labels may go the other way. The golden
rows hold fp32 logits: whoever casts a bundle proves them first, and they say nothing about bf16.
"""

from dataclasses import replace
from typing import Literal, get_args

import torch

from tunesmith.bundle.read import Bundle
from tunesmith.core.errors import UsageError
from tunesmith.core.task import WritingTask
from tunesmith.models.answering import answering
from tunesmith.models.precision import Precision, faster

Wanted = Literal["fp32", "bf16", "auto"]
"""`auto` is what the processor multiplies faster in, measured for 50 ms."""


def ready(bundle: Bundle, wanted: Wanted) -> Bundle:
    """The bundle with its model in the form that answers fastest. Let go of `bundle`: it holds the weights once more.

    Raises:
        UsageError: no such precision.
    """
    precision = chosen_precision(wanted, bundle.model.backbone.width)
    if isinstance(bundle.task, WritingTask):  # a writer makes a form of its own
        return replace(bundle, precision=precision)
    return replace(bundle, model=answering(bundle.model, precision=precision), precision=precision)


def chosen_precision(wanted: Wanted, width: int) -> Precision:
    """What is wanted; for `auto` the format in which a model of `width` computes faster here.

    Raises:
        UsageError: no such precision.
    """
    if wanted not in get_args(Wanted):
        raise UsageError(
            f"there is no precision {wanted!r}", code="TS-BUNDLE-034", fix='choose "fp32", "bf16" or "auto".'
        )
    return faster(width, torch.device("cpu")).precision if wanted == "auto" else wanted
