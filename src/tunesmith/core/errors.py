"""Every way a run can be refused, each with a stable code, a place, a remedy and an exit code (sysexits.h).

TunesmithError
├── UsageError              2   the command was called in a way that has no meaning
├── DataError              65   a row, label or span that cannot be used
├── ModelFileError         65   weights, tokenizer or bundle that are damaged or of a refused kind
├── NumericsError          65   a loss or gradient that is not a finite number
├── MissingInputError      66   a file, folder or checkpoint that is not there
├── MissingExtraError      69   an optional dependency that is not installed
├── MemoryLimitError       71   the machine or the device has no more memory to give
├── CannotCreateError      73   an output that exists already or may not be written
├── StorageError           74   the disk failed or is full
├── BusyError              75   another process holds the lock: try again later
└── ConfigError            78   a configuration that is wrong at a named key
"""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is wrong: a file with line and column (both from 1), or a key of a configuration."""

    file: str | None = None
    line: int | None = None
    column: int | None = None
    key: str | None = None

    def __str__(self) -> str:
        """`file:line:column`, `file: key`, or the key alone."""
        spot = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        return ": ".join(part for part in (spot, self.key) if part)


class TunesmithError(Exception):
    """What went wrong, where, and what to do about it. `code` is stable across versions (`TS-DATA-012`)."""

    exit_code: ClassVar[int] = 70

    def __init__(self, message: str, *, code: str, fix: str, place: Place | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.place = place
        self.fix = fix

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.message, self.code, self.place, self.fix)

    def __str__(self) -> str:
        """One line: place, message, remedy, code."""
        where = f"{self.place}: " if self.place and str(self.place) else ""
        return f"{where}{self.message} Fix: {self.fix} [{self.code}]"

    def as_record(self) -> dict[str, object]:
        """The same facts as an object, for `--json`."""
        place = self.place or Place()
        where = {"file": place.file, "line": place.line, "column": place.column, "key": place.key}
        return {
            "error": self.code,
            "message": self.message,
            "fix": self.fix,
            "exit_code": self.exit_code,
            "place": {name: value for name, value in where.items() if value is not None},
        }


def _rebuild(kind: type[TunesmithError], message: str, code: str, place: Place | None, fix: str) -> TunesmithError:
    return kind(message, code=code, place=place, fix=fix)


class UsageError(TunesmithError):
    """The command was called in a way that has no meaning."""

    exit_code = 2


class DataError(TunesmithError):
    """A row, label or span that cannot be used."""

    exit_code = 65


class ModelFileError(TunesmithError):
    """Weights, tokenizer, checkpoint or bundle that are damaged or of a refused kind."""

    exit_code = 65


class NumericsError(TunesmithError):
    """A loss or gradient that is not a finite number."""

    exit_code = 65


class MissingInputError(TunesmithError):
    """A file, folder or checkpoint that is not there."""

    exit_code = 66


class MissingExtraError(TunesmithError):
    """An optional dependency that is not installed; the fix is the exact `pip install` line."""

    exit_code = 69


class MemoryLimitError(TunesmithError):
    """The machine or the device has no more memory to give."""

    exit_code = 71


class CannotCreateError(TunesmithError):
    """An output that exists already or may not be written."""

    exit_code = 73


class StorageError(TunesmithError):
    """The disk failed or is full."""

    exit_code = 74


class BusyError(TunesmithError):
    """Another process holds the lock."""

    exit_code = 75


class ConfigError(TunesmithError):
    """A configuration that is wrong at a named key."""

    exit_code = 78
