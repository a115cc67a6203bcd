"""The records of one JSON document, one at a time, with the place of each in the text.

A document is an array of records, or an object whose values are such arrays (`{"train": [...], "test": [...]}`). A
record is an object, or an array whose items are columns 1, 2, 3, ...
"""

import json
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

from tunesmith.prepare.formats._faults import RowFault
from tunesmith.prepare.formats._json_rows import parsed

_BLANKS = " \t\r\n"
_DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class Item:
    """One item of an array: the text between `start` and `end`; `part` is the key the array stands under."""

    part: str | None
    start: int
    end: int

    def value(self, text: str) -> Any:  # noqa: ANN401 - what JSON holds
        """The item's strict value.

        Raises:
            RowFault: NaN, a key twice, too deep, or half a surrogate pair.
        """
        return parsed(text[self.start : self.end])


class Broken(Exception):
    """The document cannot be read on from `offset`."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


def items(text: str) -> Iterator[Item]:
    """The items of the document's arrays in order. Values that are no arrays are passed over.

    Raises:
        Broken: the text is not JSON.
    """
    at = _past_blanks(text, 0)
    opening = text[at : at + 1]
    if opening == "[":
        at = yield from _array(text, at, None)
    elif opening == "{":
        at = yield from _object(text, at)
    else:
        raise Broken("a document must be an array or an object", at)
    at = _past_blanks(text, at)
    if at < len(text):
        raise Broken("there is something after the end of the document", at)


def _array(text: str, at: int, part: str | None) -> Generator[Item, None, int]:
    at = _past_blanks(text, at + 1)
    if text[at : at + 1] == "]":
        return at + 1
    while True:
        end = _value_end(text, at)
        yield Item(part, at, end)
        at = _past_blanks(text, end)
        following = text[at : at + 1]
        if following == "]":
            return at + 1
        if following != ",":
            raise Broken("expected a comma or the end of the array", at)
        at = _past_blanks(text, at + 1)


def _object(text: str, at: int) -> Generator[Item, None, int]:
    at = _past_blanks(text, at + 1)
    if text[at : at + 1] == "}":
        return at + 1
    while True:
        if text[at : at + 1] != '"':
            raise Broken("expected a key in quotes", at)
        end = _value_end(text, at)
        key = json.loads(text[at:end])
        at = _past_blanks(text, end)
        if text[at : at + 1] != ":":
            raise Broken("expected a colon after the key", at)
        at = _past_blanks(text, at + 1)
        if text[at : at + 1] == "[":
            at = yield from _array(text, at, key)
        else:
            at = _value_end(text, at)
        at = _past_blanks(text, at)
        following = text[at : at + 1]
        if following == "}":
            return at + 1
        if following != ",":
            raise Broken("expected a comma or the end of the object", at)
        at = _past_blanks(text, at + 1)


def _value_end(text: str, at: int) -> int:
    try:
        return _DECODER.raw_decode(text, at)[1]
    except json.JSONDecodeError as error:
        raise Broken(f"not JSON: {error.msg}", error.pos) from None
    except RecursionError:
        raise Broken("nested too deeply", at) from None
    except ValueError:  # an integer of more digits than the interpreter converts
        raise Broken("a number has too many digits", at) from None


def _past_blanks(text: str, at: int) -> int:
    while at < len(text) and text[at] in _BLANKS:
        at += 1
    return at


class Lines:
    """Line and column of offsets that only grow."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._line = 1
        self._begin = 0
        self._seen = 0

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column (from 1) of an offset not before the last one asked for."""
        text = self._text
        while True:
            ends = [end for mark in "\r\n" if (end := text.find(mark, self._seen, offset)) >= 0]
            if not ends:
                self._seen = offset
                return self._line, offset - self._begin + 1
            end = min(ends)
            end += 2 if text.startswith("\r\n", end) else 1
            self._line += 1
            self._begin = self._seen = end


def record_of(value: Any) -> dict[str, Any]:  # noqa: ANN401 - what JSON holds
    """An item as a record.

    Raises:
        RowFault: it is neither an object nor an array.
    """
    if isinstance(value, dict):
        return value
    if isinstance(value, list):
        return {str(index): item for index, item in enumerate(value, 1)}
    raise RowFault(
        "the item is neither an object nor an array",
        code="TS-DATA-021",
        fix='write {"text": ..., "label": ...} or [text, label] for every row.',
    )
