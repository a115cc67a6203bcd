"""A chart of characters, for a terminal without pictures."""

from collections.abc import Sequence

WIDTH, HEIGHT = 64, 14
BARS = "▁▂▃▄▅▆▇█"
Point = tuple[float, float]


def plotted(
    points: Sequence[Point],
    *,
    bottom: float,
    top: float,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    span: tuple[float, float] | None = None,
    upright: float | None = None,
) -> list[str]:
    """Points (x, y) as lines, `size` wide and high beside 10 characters that name y from `bottom` to `top`.

    `span` is the first and last x, those of the points where it is absent; `upright` is an x that gets a dashed line.
    """
    width, height = size
    first, last = span or (points[0][0], points[-1][0])
    grid = [[" "] * width for _ in range(height)]

    def column(x: float) -> int:
        return round((x - first) / max(last - first, 1e-9) * (width - 1))

    if upright is not None:
        for row in grid:
            row[column(upright)] = "┆"
    for x, y in points:
        share = (y - bottom) / max(top - bottom, 1e-9)
        grid[height - 1 - round(share * (height - 1))][column(x)] = "●"
    labels = [f"{top:8.3f}", *[" " * 8] * (height - 2), f"{bottom:8.3f}"]
    return [f"{label} ┤{''.join(row)}" for label, row in zip(labels, grid, strict=True)]


def bars(points: Sequence[Point], *, span: tuple[float, float], width: int = WIDTH) -> str:
    """The means of y over `width` equal stretches of x in `span`, one bar of eight heights each, lowest to highest."""
    stretches: list[list[float]] = [[] for _ in range(width)]
    for x, y in points:
        share = (x - span[0]) / max(span[1] - span[0], 1e-9)
        stretches[round(share * (width - 1))].append(y)
    means = [sum(stretch) / len(stretch) if stretch else None for stretch in stretches]
    known = [mean for mean in means if mean is not None]
    low, high = min(known), max(known)
    step = max(high - low, 1e-9) / (len(BARS) - 1)
    return "".join(" " if mean is None else BARS[round((mean - low) / step)] for mean in means).rstrip()
