"""Which labels one model answers better than another: the difference in F1 of each label, on the same rows.

The interval is the paired bootstrap of `tunesmith.judge.paired`. There is no test of a single label: among many labels
one in twenty leaves 0 out by chance alone, and whoever picks it afterwards has shown nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

import numpy as np

from tunesmith.core.prediction import Prediction
from tunesmith.judge.forms import FORMS, WRITTEN, form_of
from tunesmith.judge.intervals import Metric, interval
from tunesmith.judge.ledger import Ledger
from tunesmith.judge.metrics.counts import Counts, per_label
from tunesmith.judge.scoring import row_key


@dataclass(frozen=True, slots=True)
class LabelDifference:
    """The F1 of two models on one label, of `gold` entities or rows; `difference` is first minus second."""

    label: str
    gold: int
    first: float
    second: float
    difference: Metric
    part: str = ""
    """Whether it is a `label` of texts or a type of `entity`, where answers hold both"""


def label_differences(
    pairs: Iterable[tuple[Prediction, Prediction]], *, kind: str, seed: int = 0, replicates: int = 1000
) -> list[LabelDifference]:
    """The labels of rows that two models answered, the largest difference first; none where rows carry no labels.

    Raises:
        DataError: rows without gold or of another kind.
    """
    stream = iter(pairs)
    start = next(stream, None)
    if start is None or (shape := form_of(start[0], kind)) in ("scores", *WRITTEN):
        return []
    form = FORMS[shape]
    mine, theirs = Ledger(replicates=replicates), Ledger(replicates=replicates)
    for one, other in chain((start,), stream):
        key = row_key(one, seed)
        mine.add(key, form.row(one))
        theirs.add(key, form.row(other))
    found = [one for part in form.parts for one in _of_part(mine, theirs, part)]
    return sorted(found, key=lambda one: (-abs(one.difference.value), one.part, one.label))


def _of_part(mine: Ledger, theirs: Ledger, part: str) -> list[LabelDifference]:
    """The labels of one of the books, in their order."""
    exact, drawn = ([own.part(part) for own in pair] for pair in _sums(mine, theirs))
    names = sorted({*exact[0].labels(), *exact[1].labels()})
    here, there = (per_label(own, names) for own in exact)
    ours, rivals = (per_label(own, names) for own in drawn)
    absent = ours["gold"] + ours["predicted"] + rivals["predicted"] == 0
    draws = np.where(absent, np.nan, ours["f1"] - rivals["f1"])
    return [
        LabelDifference(
            label=name,
            gold=int(here["gold"][i]),
            first=float(here["f1"][i]),
            second=float(there["f1"][i]),
            difference=interval(float(here["f1"][i] - there["f1"][i]), draws[i]),
            part=part,
        )
        for i, name in enumerate(names)
    ]


def _sums(mine: Ledger, theirs: Ledger) -> tuple[tuple[Counts, Counts], tuple[Counts, Counts]]:
    """The exact sums of both models, and those under every replicate."""
    return (mine.exact(), theirs.exact()), (mine.drawn(), theirs.drawn())
