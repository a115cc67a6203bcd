"""What is wrong with one row, before it is known where the row stands."""

import re
from pathlib import Path

from tunesmith.core.errors import DataError, Place
from tunesmith.core.format import Reject

SKIP = "or set data.skip_bad = true to leave such rows out"
SHOWN = 2000
_UNSOUND = re.compile("[\x00\ud800-\udfff]")


class RowFault(Exception):
    """A bad row. `key` is the column at fault, `offset` the character in its text, where known (from 0)."""

    def __init__(self, message: str, *, code: str, fix: str, key: str | None = None, offset: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.fix = fix
        self.key = key
        self.offset = offset

    def located(self, path: Path, line: int, column: int | None = None) -> DataError:
        """The fault at its place in the file (line and column from 1)."""
        place = Place(file=str(path), line=line, column=column)
        return DataError(self.message, code=self.code, place=place, fix=self.fix)


def refuse(error: DataError, row: str, reject: Reject | None) -> None:
    """Hand a bad row over, or stop at it."""
    if reject is None:
        raise error
    reject(error, row[:SHOWN])


def check_text(text: str, key: str, *, what: str = "the text") -> None:
    """Refuse a text that is blank, or that no encoding can write."""
    if not text or text.isspace():
        raise RowFault(f"{what} is empty", code="TS-DATA-015", fix=f"fill it in, delete the row, {SKIP}.", key=key)
    check_characters(text, key)


def check_characters(text: str, key: str | None) -> None:
    """Refuse NUL and lone surrogates (which also stand for bytes that are not UTF-8)."""
    if (text.isascii() and "\0" not in text) or not (found := _UNSOUND.search(text)):
        return
    code, at = ord(found.group()), found.start()
    if code == 0:
        message, number = "holds a NUL character", "TS-DATA-013"
        fix = f"remove it (was the file cut off or written as UTF-16?), {SKIP}."
    elif 0xDC80 <= code <= 0xDCFF:
        message, number = f"byte {code - 0xDC00:#04x} is not UTF-8", "TS-DATA-014"
        fix = f'save the file as UTF-8, set encoding = "latin-1" or the right one, {SKIP}.'
    else:
        message, number = "holds half of a surrogate pair", "TS-DATA-014"
        fix = f"write the character as UTF-8 or as both halves, {SKIP}."
    raise RowFault(message, code=number, fix=fix, key=key, offset=at)
