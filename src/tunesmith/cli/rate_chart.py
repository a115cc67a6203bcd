"""The range test as a chart of characters: loss against rate, with the suggestion marked."""

import math
from collections.abc import Sequence

from tunesmith.tune.find_lr import Tried

WIDTH, HEIGHT = 64, 14


def chart(tried: Sequence[Tried], suggestion: float | None) -> str:
    """Smoothed loss (upwards) over the rate (to the right, logarithmic)."""
    top = min(max(item.smoothed for item in tried), 3 * tried[0].smoothed)
    bottom = min(item.smoothed for item in tried)
    first, last = math.log10(tried[0].rate), math.log10(tried[-1].rate)
    grid = [[" "] * WIDTH for _ in range(HEIGHT)]

    def column(rate: float) -> int:
        return round((math.log10(rate) - first) / max(last - first, 1e-9) * (WIDTH - 1))

    if suggestion is not None:
        for row in grid:
            row[column(suggestion)] = "┆"
    for item in tried:
        height = (min(item.smoothed, top) - bottom) / max(top - bottom, 1e-9)
        grid[HEIGHT - 1 - round(height * (HEIGHT - 1))][column(item.rate)] = "●"
    labels = [f"{top:8.3f}", *[" " * 8] * (HEIGHT - 2), f"{bottom:8.3f}"]
    lines = [f"{label} ┤{''.join(row)}" for label, row in zip(labels, grid, strict=True)]
    left, right = f"{tried[0].rate:.0e}", f"{tried[-1].rate:.0e}"
    return "\n".join([*lines, f"{' ' * 10}{left}{right:>{WIDTH - len(left)}}"])
