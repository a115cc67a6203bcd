"""Labels that may be paths down a tree: `billing/refund/late`, `DESC:manner`, `Calendar.Add`."""

from collections import Counter
from collections.abc import Collection

SEPARATORS = ("/", " / ", " > ", ">", "::", ":", "|", "\\", ".")
"""What people put between the steps; a sign that occurs in ordinary names (`_`, `-`) says nothing."""
MOST = 0.75
"""The share of labels that hold a separator; the rest may have one step"""


def ways_down(label: str, separator: str) -> tuple[str, ...]:
    """The nodes on the way to a label: `a`, `a/b`, `a/b/c` for `a/b/c`."""
    steps = label.split(separator)
    return tuple(separator.join(steps[: depth + 1]) for depth in range(len(steps)))


def separator_of(labels: Collection[str]) -> str | None:
    """The sign that makes a tree of the labels, where most hold it and at least two first steps have several below."""
    return next((sign for sign in SEPARATORS if _makes_a_tree(labels, sign)), None)


def _makes_a_tree(labels: Collection[str], separator: str) -> bool:
    paths = [label.split(separator) for label in labels if separator in label]
    if not paths or len(paths) < MOST * len(labels):
        return False
    if any(not step or step != step.strip() for path in paths for step in path):
        return False
    firsts = Counter(path[0] for path in paths)
    return sum(count > 1 for count in firsts.values()) > 1
