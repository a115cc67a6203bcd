"""SQuAD's documents: questions inside paragraphs inside articles, each question to a row with its place in the file.

{"data": [{"title": ..., "paragraphs": [{"context": ..., "qas": [{"id": ..., "question": ..., "answers": [...]}]}]}]}

A row is the question with all single values above it (`context`, `title`). Paragraphs may also stand alone, as CMRC and
DRCD have them in part of their files.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from tunesmith.prepare.formats._faults import RowFault
from tunesmith.prepare.formats._json_walk import Item, items, record_of
from tunesmith.prepare.formats._records import Record

_LEVELS = ("data", "paragraphs", "qas")


def holds_questions(text: str) -> bool:
    """Whether a document may have questions inside paragraphs."""
    return '"qas"' in text


def questions_in(item: Item, text: str) -> Iterator[tuple[Item, Record | RowFault]]:
    """The questions below an item of a document, or the item itself where it is none of that shape."""
    try:
        value = item.value(text)
        yield from _below(item, value, text, {})
    except RowFault as fault:
        yield item, fault


def _below(item: Item, value: Any, text: str, above: Record) -> Iterator[tuple[Item, Record | RowFault]]:  # noqa: ANN401
    level = next((key for key in _LEVELS if isinstance(value, Mapping) and isinstance(value.get(key), list)), None)
    if level is None:
        yield item, dict(above) | record_of(value)
        return
    shared = dict(above) | {key: inner for key, inner in value.items() if not isinstance(inner, list | dict)}
    places = (
        Item(item.part, item.start + inner.start, item.start + inner.end)
        for inner in items(text[item.start : item.end])
        if inner.part == level
    )
    for place, inner in zip(places, value[level], strict=True):
        yield from _below(place, inner, text, shared)
