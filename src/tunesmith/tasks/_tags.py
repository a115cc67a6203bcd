"""The tags of a scheme as classes: their order, and which may stand beside which.

BIO: `I-X` only after `B-X` or `I-X`. BIOES: `B-X` and `I-X` must be continued by `I-X` or `E-X`, which stand nowhere
else.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from tunesmith.prepare.alignment import Scheme, marks_of

_MARKS: dict[Scheme, str] = {"BIO": "BI", "BIOES": "BIES"}


@dataclass(frozen=True, slots=True, eq=False)
class TagSet:
    """C tags: `O` first, then the marks of each label in turn."""

    names: tuple[str, ...]
    """[C]"""
    begins: NDArray[np.bool_]
    """[C] whether an entity begins here (B, S)"""
    ends: NDArray[np.bool_]
    """[C] whether an entity must end here (E, S); none in BIO, where it ends before the next tag that is not I"""
    inside: NDArray[np.bool_]
    """[C] whether the tag continues the one before (I, E)"""
    label: NDArray[np.int64]
    """[C] index of the label, -1 for `O`"""
    start: NDArray[np.bool_]
    """[C] what a text may start with"""
    step: NDArray[np.bool_]
    """[C, C] what (row) may be followed by what (column)"""
    end: NDArray[np.bool_]
    """[C] what a text may end with"""


@cache
def tag_set(labels: tuple[str, ...], scheme: Scheme) -> TagSet:
    """The tags of some labels under a scheme."""
    marks = _MARKS[scheme]
    names = ("O", *(f"{mark}-{label}" for label in labels for mark in marks))
    mark = np.array(["O", *marks * len(labels)])
    label = np.concatenate([[-1], np.repeat(np.arange(len(labels)), len(marks))]).astype(np.int64)
    inside = np.isin(mark, ["I", "E"])
    opens = np.isin(mark, ["B", "I"])  # an entity is open behind these
    same = label[:, None] == label[None, :]
    step = ~inside[None, :] | (opens[:, None] & same)
    end = np.ones(len(names), dtype=bool)
    if scheme == "BIOES":
        step &= ~opens[:, None] | (inside[None, :] & same)
        end = ~opens
    return TagSet(
        names=names,
        begins=np.isin(mark, ["B", "S"]),
        ends=np.isin(mark, ["E", "S"]),
        inside=inside,
        label=label,
        start=~inside,
        step=step,
        end=end,
    )


def classes_of(length: int, label: int, scheme: Scheme) -> Sequence[int]:
    """The classes of an entity of `length` units with the label of that index."""
    marks = _MARKS[scheme]
    return [1 + label * len(marks) + marks.index(mark) for mark in marks_of(length, scheme)]


def balanced_weights(counts: Counter[str], names: Sequence[str]) -> list[float]:
    """Weights [C] inverse to frequency, total / (C * count), kept within 1/10 and 10; 1 for a tag never seen.

    The bound is there because most units are `O`: an unbounded weight would let a tag seen twice rule the loss.
    """
    total = sum(counts.values())
    raw = [total / (len(names) * counts[name]) if counts[name] else 1.0 for name in names]
    return [round(min(max(value, 0.1), 10.0), 6) for value in raw]
