"""Numbers that rows carry instead of labels."""

import math
from collections.abc import Iterable

from tunesmith.core.errors import DataError
from tunesmith.core.example import Example
from tunesmith.tasks._labels import unusable


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
