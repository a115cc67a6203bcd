"""Rows of delimited text with the exact line of each, and the line and column of each field when it is asked for."""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from tunesmith.prepare.formats._faults import SKIP, RowFault

FIELD_LIMIT = 1_000_000
"""Characters: a field beyond it is a quote that never closes, not a text."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How fields are set apart. Without `quoting` a quote is a character like any other."""

    delimiter: str
    quoting: bool


@dataclass(slots=True)
class Row:
    """The fields of a row, the line it begins on and the physical lines it was made from; or what is wrong with it."""

    fields: list[str]
    line: int
    raw: list[str]
    fault: RowFault | None = None


def rows_of(lines: Iterable[str], dialect: Dialect) -> Iterator[Row]:
    """The rows of a file, blank lines skipped.

    A quote that never closes would swallow the rest of the file: its first line alone is given as faulty, and
    reading goes on at the next one.
    """
    csv.field_size_limit(FIELD_LIMIT)
    taken: list[str] = []
    source = iter(lines)
    number = 1
    while True:
        reader = _reader(_noted(source, taken), dialect)
        try:
            for fields in reader:
                raw, taken[:] = taken[:], ()
                if fields:
                    yield Row(fields, number, raw)
                number += len(raw)
        except csv.Error as error:
            if not taken:
                raise
            first, again = taken[0], taken[1:]
            taken.clear()
            source = chain(again, source)
            yield Row([], number, [first], _fault(error, first))
            number += 1
            continue
        return


def place_of(row: Row, index: int, dialect: Dialect) -> tuple[int, int]:
    """Line and column (from 1) where field `index` of a row begins, or where the row ends if it has fewer fields."""
    line, column, at = row.line, 1, 0
    quoted = False
    fresh = True
    text = "".join(row.raw).rstrip("\r\n")
    for position, character in enumerate(text):
        if at == index:
            break
        if dialect.quoting and character == '"' and (fresh or quoted):
            quoted = not quoted
        elif character == dialect.delimiter and not quoted:
            at += 1
        fresh = character == dialect.delimiter and not quoted
        column += 1
        if character == "\n" or (character == "\r" and text[position + 1 : position + 2] != "\n"):
            line, column = line + 1, 1
    return line, column


def _reader(lines: Iterator[str], dialect: Dialect) -> Iterator[list[str]]:
    if dialect.quoting:
        return csv.reader(lines, delimiter=dialect.delimiter, strict=True)
    return csv.reader(lines, delimiter=dialect.delimiter, quoting=csv.QUOTE_NONE, quotechar=None)


def _noted(source: Iterator[str], taken: list[str]) -> Iterator[str]:
    for line in source:
        taken.append(line)
        yield line


def _fault(error: csv.Error, line: str) -> RowFault:
    message = str(error)
    offset = max(line.find('"'), 0)
    if "limit" in message:
        what, code = f"a field is longer than {FIELD_LIMIT:,} characters", "TS-DATA-012"
        if '"' in line:
            what += ": does the quote that opens here ever close?"
    elif "end of data" in message:
        what, code = "the quote that opens here is never closed", "TS-DATA-011"
    elif "expected after" in message:
        what, code = "a quoted field goes on after its closing quote", "TS-DATA-011"
    else:
        what, code = message, "TS-DATA-011"
    fix = 'double the quotes inside a field (""), or set quoting = false if quotes are plain characters here'
    return RowFault(what, code=code, fix=f"{fix}, {SKIP}.", offset=offset)
