"""Ten questions as they come, nobody's choice: what a search finds for them, for a reader to judge."""

import heapq
from collections.abc import Iterable
from typing import Any

from tunesmith.core.prediction import Prediction
from tunesmith.judge import sides
from tunesmith.judge.errors_table import shortened
from tunesmith.judge.intervals import key_of

QUESTIONS, FOUND = 10, 3


def ranked_sample(predictions: Iterable[Prediction]) -> list[dict[str, Any]]:
    """For ten questions drawn by a hash of their ids: the first documents found, and of those missed there the best.

    `rank` is that of the first document that answers, None where it is not among those found.
    """
    drawn = heapq.nsmallest(QUESTIONS, predictions, key=lambda prediction: (key_of(prediction.id, 0), prediction.id))
    return [_record(prediction) for prediction in drawn]


def _record(prediction: Prediction) -> dict[str, Any]:
    wanted, found = sides.documents(prediction)
    names = {item.id for item in wanted}
    rank = next((rank for rank, item in enumerate(found, start=1) if item.id in names), None)
    shown = [
        {"text": shortened(item.text), "score": round(item.score, 3), "right": item.id in names}
        for item in found[:FOUND]
    ]
    best = max(wanted, key=lambda item: item.grade)
    return {
        "text": shortened(prediction.text),
        "source": str(prediction.source) if prediction.source else prediction.id,
        "found": shown,
        "rank": rank,
        "missed": None if rank is not None and rank <= FOUND else shortened(best.text),
    }
