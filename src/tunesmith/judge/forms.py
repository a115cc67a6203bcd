"""The four shapes an answer can have, and what each adds to the books.

spans        token_classification
labels       text_classification, pair_matching with classes
multilabel   text_classification whose gold is a tuple
scores       pair_matching whose gold is a number
"""

from collections.abc import Callable
from dataclasses import dataclass

from tunesmith.core.errors import DataError, Place, UsageError
from tunesmith.core.example import Span
from tunesmith.core.prediction import Prediction, ScoredSpan
from tunesmith.judge.metrics import labels, multilabel, spans
from tunesmith.judge.metrics.counts import Counts, Floats, Row

KINDS = ("token_classification", "text_classification", "pair_matching")


@dataclass(frozen=True, slots=True)
class Form:
    """How one shape of answer is counted, and which of its metrics leads."""

    name: str
    main: str
    row: Callable[[Prediction], Row]
    metrics: Callable[[Counts], dict[str, Floats]]


def form_of(prediction: Prediction, kind: str) -> str:
    """The shape of the answers that `prediction` is the first of.

    Raises:
        UsageError: a kind that nobody knows how to judge.
        DataError: the row has no gold, or gold of another kind.
    """
    if kind not in KINDS:
        raise UsageError(f"cannot judge {kind!r}", code="TS-JUDGE-003", fix=f"choose one of: {', '.join(KINDS)}.")
    gold = prediction.gold
    if isinstance(gold, tuple):
        shape = "spans" if kind == "token_classification" else "multilabel"
        if kind != "pair_matching":
            return shape
    elif isinstance(gold, str) and kind != "token_classification":
        return "labels"
    elif isinstance(gold, int | float) and kind == "pair_matching":
        return "scores"
    raise unfit(prediction, f"a gold answer for {kind}")


def unfit(prediction: Prediction, wanted: str) -> DataError:
    """The error for a row that cannot be judged."""
    source = prediction.source
    missing = prediction.gold is None
    return DataError(
        f"row {prediction.id!r} has no gold label" if missing else f"row {prediction.id!r} does not hold {wanted}",
        code="TS-JUDGE-001" if missing else "TS-JUDGE-002",
        place=Place(file=source.file, line=source.line) if source else None,
        fix="only labelled rows can be scored." if missing else "score one task at a time, and the task of these rows.",
    )


def _spans_row(prediction: Prediction) -> Row:
    gold, predicted = prediction.gold, prediction.predicted
    if not isinstance(gold, tuple) or not isinstance(predicted, tuple):
        raise unfit(prediction, "entities on both sides")
    wanted = [item for item in gold if isinstance(item, Span)]
    said = [item.span() for item in predicted if isinstance(item, ScoredSpan)]
    if len(wanted) != len(gold) or len(said) != len(predicted):
        raise unfit(prediction, "entities on both sides")
    return spans.row(wanted, said)


def _labels_row(prediction: Prediction) -> Row:
    if not isinstance(prediction.gold, str) or not isinstance(prediction.predicted, str):
        raise unfit(prediction, "one label on both sides")
    return labels.row(prediction.gold, prediction.predicted)


def _multilabel_row(prediction: Prediction) -> Row:
    return multilabel.row(label_set(prediction, "gold"), label_set(prediction, "predicted"), prediction.scores)


def taken_for(prediction: Prediction) -> list[tuple[str, str]]:
    """What was taken for what: (gold, predicted) label or entity types, "" for an entity without a counterpart."""
    gold, said = prediction.gold, prediction.predicted
    if isinstance(gold, str) and isinstance(said, str):
        return [(gold, said)]
    if not isinstance(gold, tuple) or not isinstance(said, tuple):
        return []
    wanted = [item for item in gold if isinstance(item, Span)]
    found = spans.pairings(wanted, [item.span() for item in said if isinstance(item, ScoredSpan)])
    return [(pair.gold.label if pair.gold else "", pair.predicted.label if pair.predicted else "") for pair in found]


def label_set(prediction: Prediction, side: str) -> tuple[str, ...]:
    """The gold or predicted labels of a row with several labels."""
    value = prediction.gold if side == "gold" else prediction.predicted
    if not isinstance(value, tuple):
        raise unfit(prediction, "several labels on both sides")
    found = tuple(item for item in value if isinstance(item, str))
    if len(found) != len(value):
        raise unfit(prediction, "several labels on both sides")
    return found


FORMS = {
    form.name: form
    for form in (
        Form("spans", "span_f1", _spans_row, spans.metrics),
        Form("labels", "accuracy", _labels_row, labels.metrics),
        Form("multilabel", "micro_f1", _multilabel_row, multilabel.metrics),
    )
}
"""The shapes whose metrics are functions of sums; `scores` needs ranks and is counted in `score_rows`."""
