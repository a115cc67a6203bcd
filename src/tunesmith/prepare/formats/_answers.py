"""Answers to a question about a text, in the shapes that are found in the wild, checked against the text.

[{"text": "Anna", "answer_start": 0}]           SQuAD and its relatives; also `start`
{"text": ["Anna"], "answer_start": [0]}         the same as the `datasets` library keeps it
["Anna"], "Anna"                                without a place (or at -1): where it first stands in the text
[]                                              the text does not answer the question
"""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from tunesmith.core.example import Span
from tunesmith.prepare.formats._faults import SKIP, RowFault
from tunesmith.prepare.formats._options import SpanRules

NEAR = 8
"""Characters by which a place may be wrong and is still believed: files are counted in other units or were trimmed."""
LABEL = "answer"
_START = ("answer_start", "start", "answer_starts", "offset", "begin")
_TEXT = ("text", "answer", "answer_text")
_SHAPES = 'write [{"text": "...", "start": 0}] with the character at which each begins, or a list of texts'


class RawAnswer(NamedTuple):
    """An answer as the file gives it."""

    text: str
    start: int | None


def is_answers(value: object) -> bool:
    """Whether a value has the shape of answers with places (an empty list has)."""
    if isinstance(value, Mapping):
        texts, starts = _of(value, _TEXT), _of(value, _START)
        return isinstance(texts, list) and isinstance(starts, list)
    return isinstance(value, list) and all(
        isinstance(item, Mapping) and isinstance(_of(item, _TEXT), str) and _of(item, _START) is not None
        for item in value
    )


def raw_answers(value: object, key: str) -> list[RawAnswer]:
    """The answers of one row.

    Raises:
        RowFault: not a shape of answers.
    """
    if isinstance(value, str):
        return [RawAnswer(value, None)]
    if isinstance(value, Mapping):
        texts, starts = _of(value, _TEXT), _of(value, _START)
        if not isinstance(texts, list) or not isinstance(starts, list) or len(texts) != len(starts):
            raise _malformed("texts and places of the answers are not two lists of one length", key)
        return [_answer(text, start, key) for text, start in zip(texts, starts, strict=True)]
    if not isinstance(value, list):
        raise _malformed("the answers are neither a list nor text", key)
    return [
        _answer(_of(item, _TEXT), _of(item, _START), key) if isinstance(item, Mapping) else _answer(item, None, key)
        for item in value
    ]


def answers_of(value: object, text: str, rules: SpanRules, *, key: str) -> tuple[Span, ...]:
    """The checked answers of one row, each once: the one given most often first, then in the order of the file.

    Raises:
        RowFault: an answer that is blank, or that does not stand in the text.
    """
    raw = raw_answers(value, key)
    found = [place for answer in raw if (place := located(answer, text)) is not None]
    if len(found) < len(raw) and (rules.stray == "reject" or not found):
        raise _stray(next(answer for answer in raw if located(answer, text) is None), text, key, alone=not found)
    spans = Counter(Span(start, end, LABEL) for start, end in found)
    return tuple(span for span, _ in spans.most_common())


def located(answer: RawAnswer, text: str) -> tuple[int, int] | None:
    """The characters `start` to `end` (exclusive) of an answer without the blanks around it; None where it is stray."""
    wanted = answer.text.strip()
    if not wanted:
        return None
    if answer.start is None:
        start = text.find(wanted)
    else:
        given = answer.start + len(answer.text) - len(answer.text.lstrip())
        start = given if text.startswith(wanted, given) else _nearby(wanted, text, given)
    return (start, start + len(wanted)) if start >= 0 else None


def misplaced(answer: RawAnswer, text: str) -> bool:
    """Whether an answer stands near its place, but not there."""
    place = located(answer, text)
    return place is not None and answer.start is not None and not text.startswith(answer.text, answer.start)


def _nearby(wanted: str, text: str, given: int) -> int:
    """The start nearest to the given one, -1 where there is none within `NEAR` characters."""
    places = (place for place in range(max(given - NEAR, 0), given + NEAR + 1) if text.startswith(wanted, place))
    return min(places, key=lambda place: (abs(place - given), place), default=-1)


def _answer(text: object, start: object, key: str) -> RawAnswer:
    if not isinstance(text, str):
        raise _malformed("an answer has no text", key)
    if start is not None and (not isinstance(start, int) or isinstance(start, bool)):
        raise _malformed(f"the answer {text[:40]!r} begins at {str(start)[:20]!r}, which is no whole number", key)
    return RawAnswer(text, start if start is None or start >= 0 else None)


def _of(item: Mapping[str, object], known: tuple[str, ...]) -> object:
    return next((item[name] for name in known if item.get(name) is not None), None)


def _malformed(message: str, key: str) -> RowFault:
    return RowFault(message, code="TS-DATA-045", fix=f"{_SHAPES}, {SKIP}.", key=key)


def _stray(answer: RawAnswer, text: str, key: str, *, alone: bool) -> RowFault:
    if not answer.text.strip():
        fix = f"leave it out (an empty list says that the text holds no answer), {SKIP}."
        return RowFault("an answer is blank", code="TS-DATA-046", fix=fix, key=key)
    shown = f"the answer {answer.text[:40]!r}"
    if answer.start is None or answer.text.strip() not in text:
        message = f"{shown} does not stand in the text"
    else:
        there = text[answer.start : answer.start + len(answer.text)][:40]
        message = f"{shown} should begin at character {answer.start}, but the text there is {there!r}"
    drop = "" if alone else 'set stray = "drop" to leave it out where the row has other answers, '
    fix = f"copy it from the text letter by letter and count characters (not bytes) from 0, {drop}{SKIP}."
    return RowFault(message, code="TS-DATA-046", fix=fix, key=key)
