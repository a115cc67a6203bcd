"""Unlabelled rows to be answered: plain lines, JSONL or CSV, from a file or a pipe, as a stream that keeps every place.

A blank text keeps its place and is not answered. A row that cannot be read is an error at its line, or, with `reject`,
is handed over and skipped.
"""

import csv
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from tunesmith.core.errors import DataError, Place, UsageError
from tunesmith.core.example import Example, Source
from tunesmith.core.strict_json import JsonFault, parse
from tunesmith.prepare.text_files import encoding_of, known_encoding, lines_of, unreadable

Kind = Literal["text", "jsonl", "csv", "tsv"]
Reject = Callable[[DataError, str], None]
"""Told about a row that cannot be read: the error, and the row as it stands in the file."""

_ENDINGS: Final[dict[str, Kind]] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "tsv"}
_FIELD: Final = 1_000_000
_SKIP: Final = "epair the row, or skip such rows with --skip-bad FILE."


@dataclass(frozen=True, slots=True)
class Columns:
    """Where the fields of a row stand: keys of JSONL, header names of CSV."""

    text: str = "text"
    pair: str = "pair"
    id: str = "id"


@dataclass(frozen=True, slots=True)
class Question:
    """One row. `example` has a blank text where there is nothing to answer."""

    example: Example

    @property
    def blank(self) -> bool:
        """Whether the row only keeps its place."""
        return not self.example.text.strip()


def kind_of(path: Path) -> Kind:
    """By the ending of the name; plain lines where it says nothing."""
    return _ENDINGS.get(path.suffix.lower(), "text")


def file_lines(path: Path, encoding: str | None) -> Iterator[str]:
    """The lines of a file with their ends, in the encoding given or found.

    Raises:
        MissingInputError: not there, or not readable.
    """
    try:
        with path.open("rb"):
            found = known_encoding(encoding) if encoding else encoding_of(path)[0]
    except OSError as error:
        raise unreadable(path, error) from None
    return lines_of(path, found)


class Questions:
    """A reader of one kind. `pairs` says whether the task reads two texts, of which the second may be a question."""

    def __init__(self, kind: Kind, *, file: str, columns: Columns, pairs: bool, reject: Reject | None = None) -> None:
        self._kind = kind
        self._file = file
        self._columns = columns
        self._pairs = pairs
        self._reject = reject

    def read(self, lines: Iterable[str]) -> Iterator[Question]:
        """One question a row, in order.

        Raises:
            DataError: at file:line, for a row that cannot be read where no `reject` was given.
            UsageError: a header without the column of the text.
        """
        if self._kind in ("csv", "tsv"):
            yield from self._table(lines)
            return
        make = self._from_json if self._kind == "jsonl" else self._from_text
        for number, raw in enumerate(lines, start=1):
            line = raw.rstrip("\r\n")
            if self._kind == "jsonl" and not line.strip():
                continue
            try:
                yield make(line, number)
            except _BadRow as bad:
                self._refuse(bad, number, line)

    def _from_text(self, line: str, number: int) -> Question:
        if not self._pairs:
            return self._question(line, None, None, number)
        text, tab, pair = line.partition("\t")
        if line.strip() and not tab:
            raise _BadRow(
                "the task reads two texts and the line holds one", "write TEXT, a tab, SECOND TEXT or question."
            )
        return self._question(text, pair, None, number)

    def _from_json(self, line: str, number: int) -> Question:
        try:
            record = parse(line)
        except JsonFault as fault:
            raise _BadRow(fault.message) from None
        if not isinstance(record, dict):
            raise _BadRow("not an object")
        text, pair, own = (record.get(name) for name in (self._columns.text, self._columns.pair, self._columns.id))
        if not isinstance(text, str):
            raise _BadRow(f"no text under the key {self._columns.text!r}", "name its key with --text-column.")
        if pair is not None and not isinstance(pair, str):
            raise _BadRow(f"{self._columns.pair!r} is not a text")
        named = own if isinstance(own, str | int) and not isinstance(own, bool) else None
        return self._question(text, pair, None if named is None else str(named), number)

    def _table(self, lines: Iterable[str]) -> Iterator[Question]:
        csv.field_size_limit(_FIELD)
        rows = csv.reader(lines, delimiter="\t" if self._kind == "tsv" else ",", strict=True)
        header: list[str] | None = None
        while True:
            number = rows.line_num + 1
            try:
                cells = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                self._refuse(_BadRow(str(error)), number, "")
                continue
            if header is None:
                header = self._header(cells)
                continue
            if not cells:
                continue
            try:
                yield self._from_cells(dict(zip(header, cells, strict=False)), len(header), len(cells), number)
            except _BadRow as bad:
                self._refuse(bad, number, ",".join(cells))

    def _from_cells(self, row: dict[str, str], expected: int, found: int, number: int) -> Question:
        if found != expected:
            raise _BadRow(f"{found} fields where the header has {expected}")
        names = self._columns
        return self._question(row[names.text], row.get(names.pair) or None, row.get(names.id), number)

    def _header(self, cells: list[str]) -> list[str]:
        header = [cell.strip().removeprefix("\ufeff") for cell in cells]
        needed = [self._columns.text, *([self._columns.pair] if self._pairs else [])]
        for name in needed:
            if name not in header:
                flag = "--text-column" if name == self._columns.text else "--pair-column"
                raise UsageError(
                    f"the header has no column {name!r}; it has: {', '.join(header)}",
                    code="TS-BUNDLE-030",
                    place=Place(file=self._file, line=1),
                    fix=f"name the column with {flag}, or read plain lines with --input text.",
                )
        return header

    def _question(self, text: str, pair: str | None, own: str | None, number: int) -> Question:
        for part in (text, pair or "", own or ""):
            if not part.isascii() and any("\ud800" <= character <= "\udfff" for character in part):
                raise _BadRow("bytes that are not UTF-8", "convert the file, or name its encoding with --encoding.")
        if self._pairs and text.strip() and not (pair or "").strip():
            raise _BadRow("the second text is missing")
        given = pair if self._pairs else None
        return Question(Example(id=own or str(number), text=text, pair=given, source=Source(self._file, number)))

    def _refuse(self, bad: "_BadRow", number: int, line: str) -> None:
        place = Place(file=self._file, line=number)
        fix = f"{bad.fix} R{_SKIP}" if bad.fix else f"r{_SKIP}"
        error = DataError(bad.message, code="TS-BUNDLE-031", place=place, fix=fix)
        if self._reject is None:
            raise error
        self._reject(error, line)


class _BadRow(Exception):
    def __init__(self, message: str, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
