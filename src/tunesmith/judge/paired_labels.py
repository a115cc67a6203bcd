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
from tunesmith.judge.metrics.counts import per_label
from tunesmith.judge.scoring import row_key


@dataclass(frozen=True, slots=True)
class LabelDifference:
    """The F1 of two models on one label, of `gold` entities or rows; `difference` is first minus second."""

    label: str
    gold: int
    first: float
    second: float
    difference: Metric


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
    names = sorted({*mine.exact().labels(), *theirs.exact().labels()})
    here, there = (per_label(ledger.exact(), names) for ledger in (mine, theirs))
    ours, rivals = (per_label(ledger.drawn(), names) for ledger in (mine, theirs))
    absent = ours["gold"] + ours["predicted"] + rivals["predicted"] == 0
    draws = np.where(absent, np.nan, ours["f1"] - rivals["f1"])
    found = [
        LabelDifference(
            label=name,
            gold=int(here["gold"][i]),
            first=float(here["f1"][i]),
            second=float(there["f1"][i]),
            difference=interval(float(here["f1"][i] - there["f1"][i]), draws[i]),
        )
        for i, name in enumerate(names)
    ]
    return sorted(found, key=lambda one: (-abs(one.difference.value), one.label))
