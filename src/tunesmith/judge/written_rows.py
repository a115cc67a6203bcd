"""Written and extracted answers to read: ten that nobody chose, and those that score worst.

A mean of overlaps hides what answers look like. Whoever picks samples by quality shows what he wants to show; these
are picked by a hash of their id, the same for every model on the same rows.
"""

from collections.abc import Iterable, Iterator
from heapq import nsmallest
from typing import Any

from tunesmith.core.prediction import Prediction, ScoredSpan
from tunesmith.judge import sides
from tunesmith.judge.errors_table import shortened, visible
from tunesmith.judge.forms import FORMS
from tunesmith.judge.intervals import key_of
from tunesmith.judge.metrics.counts import Counts

SAMPLES, WORST = 10, 60
_MOST_REFERENCES = 5
_AROUND = 160


def samples(predictions: Iterable[Prediction], *, form: str, main: str) -> list[dict[str, Any]]:
    """Ten rows by a hash of their id, each with its own value of the `main` metric."""
    picked = nsmallest(SAMPLES, predictions, key=lambda row: (key_of(f"sample {row.id}", 0), row.id))
    return [_record(row, _value(row, form, main), form) for row in picked]


def worst(predictions: Iterable[Prediction], *, form: str, main: str) -> tuple[list[dict[str, Any]], int]:
    """The rows with the lowest value of the `main` metric, worst first, and how many rows have less than 1."""
    seen = 0

    def imperfect() -> Iterator[tuple[float, str, int, Prediction]]:
        nonlocal seen
        for row in predictions:
            value = _value(row, form, main)
            if value < 1:
                seen += 1
                yield value, row.id, seen, row

    found = nsmallest(WORST, imperfect())
    return [_record(row, value, form) for value, _, _, row in found], seen


def _value(row: Prediction, form: str, main: str) -> float:
    """The metric of this row alone; the usual one of the form where `main` needs rows of several sorts."""
    shape = FORMS[form]
    found = shape.metrics(Counts.of([shape.row(row)]))
    return float(found.get(main, found[shape.main]))


def _record(row: Prediction, value: float, form: str) -> dict[str, Any]:
    """What a page shows of a row: what was asked, the gold answers, the answer, and for spans where they stand."""
    gold, said = sides.texts(row) if form == "texts" else sides.answers(row)
    asked = row.pair if form == "answers" else row.text if row.pair is None else f"{row.text}\n{row.pair}"
    different = list(dict.fromkeys(gold))
    return {
        "id": row.id,
        "source": str(row.source) if row.source else None,
        "value": round(value, 4),
        "labels": [],
        "truncated": row.truncated,
        "asked": shortened(asked or ""),
        "gold": [shortened(text) for text in different[:_MOST_REFERENCES]],
        "more_gold": max(0, len(different) - _MOST_REFERENCES),
        "said": shortened(said),
        "context": _context(row) if form == "answers" else None,
    }


def _context(row: Prediction) -> dict[str, str]:
    """The text around the first gold answer, else around what was answered, else its beginning."""
    wanted, found = sides.entities(row)
    place = next(iter((*wanted, *found)), ScoredSpan(0, 0, "", 0.0))
    text = visible(row.text)
    first, last = max(0, place.start - _AROUND), min(len(text), place.end + _AROUND)
    return {
        "before": ("…" if first else "") + text[first : place.start],
        "answer": text[place.start : place.end],
        "after": text[place.end : last] + ("…" if last < len(text) else ""),
    }
