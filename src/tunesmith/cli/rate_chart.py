"""The range test as a chart of characters: loss against rate, with the suggestion marked."""

import math
from collections.abc import Sequence

from tunesmith.cli.plot import WIDTH, plotted
from tunesmith.tune.find_lr import Tried


def chart(tried: Sequence[Tried], suggestion: float | None) -> str:
    """Smoothed loss (upwards) over the rate (to the right, logarithmic)."""
    top = min(max(item.smoothed for item in tried), 3 * tried[0].smoothed)
    bottom = min(item.smoothed for item in tried)
    points = [(math.log10(item.rate), min(item.smoothed, top)) for item in tried]
    lines = plotted(points, bottom=bottom, top=top, upright=None if suggestion is None else math.log10(suggestion))
    left, right = f"{tried[0].rate:.0e}", f"{tried[-1].rate:.0e}"
    return "\n".join([*lines, f"{' ' * 10}{left}{right:>{WIDTH - len(left)}}"])
