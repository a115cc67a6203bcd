"""How an answer looks to the outside: the same fields in a file of predictions and over HTTP.

They are the fields that training data has (`label`, `labels`, `entities`, `score`, `answer`), so predictions in JSONL
can be corrected by a person and trained on. In CSV, lists stand as JSON inside a cell, which no reader of training data
takes.
"""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any, Final

from tunesmith.core.prediction import LabelAndScoredSpans, Prediction, Ranked, ScoredNode, ScoredSpan

DIGITS: Final = 6
"""Decimal places of confidences."""


def answer_of(prediction: Prediction) -> dict[str, Any]:
    """What the model said, without the question.

    Documents are `{id, text, score}`, the nearest first; re-ranked ones have their first score beside.
    Entities are `{start, end, label, text, confidence}` in code points of the text, `end` exclusive. `scores` lists
    every label from likely to unlikely. A label of a tree has `levels` beside it, the nodes on the way down to it as
    `{label, confidence}`. What answers a question (the pair) is `answer`, the text from `start` to `end`, or null where
    the text holds none. `truncated` is there where characters were not read.
    """
    said = prediction.predicted
    answer: dict[str, Any]
    if isinstance(said, str):
        answer = {"label" if prediction.scores else "answer": said}
    elif isinstance(said, LabelAndScoredSpans):
        answer = {"label": said.label, "entities": [_entity(prediction.text, span) for span in said.spans]}
    elif isinstance(said, tuple):
        answer = _several(prediction, said)
    else:
        answer = {"score": round(float(said), DIGITS)}
    if prediction.confidence is not None and (not isinstance(said, tuple) or answer.keys() & {"answer", "levels"}):
        answer["confidence"] = round(prediction.confidence, DIGITS)
    if prediction.scores:
        ranked = sorted(prediction.scores.items(), key=lambda item: -item[1])
        answer["scores"] = {label: round(value, DIGITS) for label, value in ranked}
    if prediction.truncated:
        answer["truncated"] = prediction.truncated
    return answer


def json_line(record: dict[str, Any]) -> str:
    """One line of JSONL."""
    return f"{json.dumps(record, ensure_ascii=False, allow_nan=False)}\n"


def csv_line(values: list[str]) -> str:
    """One CSV record, quoted where it must be."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(values)
    return line.getvalue()


def csv_cells(answer: dict[str, Any], columns: tuple[str, ...]) -> list[str]:
    """The cells of an answer: plain values as they are, lists as JSON, nothing where the answer lacks the column."""
    return [_cell(answer.get(column)) for column in columns]


def _cell(value: Any) -> str:  # noqa: ANN401 - any JSON value
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else str(value)


def _several(prediction: Prediction, said: Sequence[ScoredSpan | ScoredNode | Ranked | str]) -> dict[str, Any]:
    """Documents, a label of a tree, labels, what answers a question, or entities."""
    if said and isinstance(said[0], Ranked):
        return {"documents": [_document(item) for item in said if isinstance(item, Ranked)]}
    if said and isinstance(said[-1], ScoredNode):
        return {"label": said[-1].label, "levels": [_level(node) for node in said if isinstance(node, ScoredNode)]}
    if prediction.scores:
        return {"labels": [str(label) for label in said]}
    if prediction.pair is not None:  # entities are looked for in one text
        return _found(prediction.text, said)
    return {"entities": [_entity(prediction.text, item) for item in said if isinstance(item, ScoredSpan)]}


def _found(text: str, said: Sequence[ScoredSpan | ScoredNode | Ranked | str]) -> dict[str, Any]:
    for span in said:
        if isinstance(span, ScoredSpan):
            return {"answer": text[span.start : span.end], "start": span.start, "end": span.end}
    return {"answer": None}


def _level(node: ScoredNode) -> dict[str, Any]:
    return {"label": node.label, "confidence": round(node.confidence, DIGITS)}


def _document(found: Ranked) -> dict[str, Any]:
    values = found.as_record()
    return {name: round(value, DIGITS) if isinstance(value, float) else value for name, value in values.items()}


def _entity(text: str, span: ScoredSpan) -> dict[str, Any]:
    return {
        "start": span.start,
        "end": span.end,
        "label": span.label,
        "text": text[span.start : span.end],
        "confidence": round(span.confidence, DIGITS),
    }
