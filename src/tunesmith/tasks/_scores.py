"""Numbers that rows carry instead of labels."""

import math
from collections.abc import Iterable, Sequence

from torch import Tensor

from tunesmith.core.errors import ConfigError, DataError, Place
from tunesmith.core.example import Example
from tunesmith.core.prediction import Prediction
from tunesmith.tasks._labels import unusable
from tunesmith.tasks._losses import at_least_fp32


def score_of(example: Example) -> float:
    """The finite score that an example with gold carries.

    Raises:
        DataError: at its line, where it carries something else.
    """
    if isinstance(example.gold, float | int) and math.isfinite(example.gold):
        return float(example.gold)
    raise unusable(
        example,
        "the row carries no finite number where the others carry a score",
        code="TS-TASK-032",
        fix="give every row a score, or every row a label.",
    )


def range_of(examples: Iterable[Example], *, given: list[float] | None) -> list[float]:
    """The least and the greatest score of the examples with gold, which are all read; or what is given.

    Raises:
        DataError: at a row with another kind of gold, or where every score is the same.
    """
    scores = [score_of(example) for example in examples if example.gold is not None]
    if given is not None:
        return given
    low, high = min(scores), max(scores)
    if low < high:
        return [low, high]
    raise DataError(f"every score is {low:g}", code="TS-TASK-033", fix="give rows with other scores.")


def scaled(example: Example, score_range: Sequence[float]) -> float:
    """The score of an example as a share of the way from the least to the greatest."""
    low, high = score_range
    return (score_of(example) - low) / (high - low)


def score_predictions(
    examples: Sequence[Example], outputs: Tensor, score_range: Sequence[float], *, truncated: Sequence[int]
) -> list[Prediction]:
    """The score of each example on the data's scale, from outputs [E, 1] in which the range is [0, 1]."""
    low, high = score_range
    scores = (low + outputs.squeeze(-1).double() * (high - low)).tolist()
    return [
        Prediction.about(example, score, truncated=cut)
        for example, score, cut in zip(examples, scores, truncated, strict=True)
    ]


def score_divergence(first: Tensor, second: Tensor) -> Tensor:
    """KL of two normal distributions of variance 1 around outputs [M, 1]; [M]."""
    return (at_least_fp32(first) - at_least_fp32(second)).square().sum(-1) / 2


def no_classes() -> ConfigError:
    """The error of label smoothing where answers are scores."""
    return ConfigError(
        "a score has no classes to smooth over",
        code="TS-TUNE-040",
        place=Place(key="regularizers"),
        fix='leave out kind = "label_smoothing".',
    )
