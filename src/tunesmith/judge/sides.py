"""What stands on the two sides of a prediction, by shape of answer; a row that does not have it is refused by line."""

from tunesmith.core.errors import DataError, Place
from tunesmith.core.example import LabelAndSpans, Node, Relevant, Span
from tunesmith.core.prediction import LabelAndScoredSpans, Prediction, Ranked, ScoredNode, ScoredSpan


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


def entities(prediction: Prediction) -> tuple[list[Span], list[Span]]:
    """The gold and the predicted spans.

    Raises:
        DataError: either side holds anything else.
    """
    gold, predicted = prediction.gold, prediction.predicted
    if not isinstance(gold, tuple) or not isinstance(predicted, tuple):
        raise unfit(prediction, "entities on both sides")
    wanted = [item for item in gold if isinstance(item, Span)]
    said = [item.span() for item in predicted if isinstance(item, ScoredSpan)]
    if len(wanted) != len(gold) or len(said) != len(predicted):
        raise unfit(prediction, "entities on both sides")
    return wanted, said


def label_and_entities(prediction: Prediction) -> tuple[LabelAndSpans, LabelAndSpans]:
    """The gold and the predicted label, each with its entities.

    Raises:
        DataError: either side holds anything else.
    """
    gold, predicted = prediction.gold, prediction.predicted
    if not isinstance(gold, LabelAndSpans) or not isinstance(predicted, LabelAndScoredSpans):
        raise unfit(prediction, "a label with entities on both sides")
    return gold, predicted.plain()


def one_label(prediction: Prediction) -> tuple[str, str]:
    """The gold and the predicted label.

    Raises:
        DataError: either side holds anything else.
    """
    if not isinstance(prediction.gold, str) or not isinstance(prediction.predicted, str):
        raise unfit(prediction, "one label on both sides")
    return prediction.gold, prediction.predicted


def label_sets(prediction: Prediction) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The gold and the predicted labels.

    Raises:
        DataError: either side holds anything else.
    """
    gold, predicted = prediction.gold, prediction.predicted
    if not isinstance(gold, tuple) or not isinstance(predicted, tuple):
        raise unfit(prediction, "several labels on both sides")
    wanted = tuple(item for item in gold if isinstance(item, str))
    said = tuple(item for item in predicted if isinstance(item, str))
    if len(wanted) != len(gold) or len(said) != len(predicted):
        raise unfit(prediction, "several labels on both sides")
    return wanted, said


def paths(prediction: Prediction) -> tuple[list[str], list[str]]:
    """The nodes on the way down to the gold label and to the answer, at least one each.

    Raises:
        DataError: either side holds anything else.
    """
    gold, predicted = prediction.gold, prediction.predicted
    if not isinstance(gold, tuple) or not isinstance(predicted, tuple):
        raise unfit(prediction, "a path on both sides")
    wanted = [item.label for item in gold if isinstance(item, Node)]
    said = [item.label for item in predicted if isinstance(item, ScoredNode)]
    if not wanted or not said or len(wanted) != len(gold) or len(said) != len(predicted):
        raise unfit(prediction, "a path on both sides")
    return wanted, said


def documents(prediction: Prediction) -> tuple[list[Relevant], list[Ranked]]:
    """The documents that answer a question, at least one, and those that were found, the best first.

    Raises:
        DataError: either side holds anything else.
    """
    gold, said = prediction.gold, prediction.predicted
    wanted = [item for item in gold if isinstance(item, Relevant)] if isinstance(gold, tuple) else []
    found = [item for item in said if isinstance(item, Ranked)] if isinstance(said, tuple) else []
    if not wanted or not isinstance(said, tuple) or len(found) != len(said):
        raise unfit(prediction, "documents on both sides")
    return wanted, found


def texts(prediction: Prediction) -> tuple[tuple[str, ...], str]:
    """The references, at least one, and the written answer.

    Raises:
        DataError: either side holds anything else.
    """
    gold = (prediction.gold,) if isinstance(prediction.gold, str) else prediction.gold
    if not isinstance(gold, tuple) or not gold or not isinstance(prediction.predicted, str):
        raise unfit(prediction, "a text on both sides")
    references = tuple(item for item in gold if isinstance(item, str))
    if len(references) != len(gold):
        raise unfit(prediction, "a text on both sides")
    return references, prediction.predicted


def answers(prediction: Prediction) -> tuple[tuple[str, ...], str]:
    """The words of the gold answers and of the predicted one; () and "" where there is none.

    Raises:
        DataError: either side holds anything but spans, or more than one answer was given.
    """
    wanted, said = entities(prediction)
    if len(said) > 1:
        raise unfit(prediction, "at most one answer")
    text = prediction.text
    return tuple(text[span.start : span.end] for span in wanted), "".join(text[s.start : s.end] for s in said)
