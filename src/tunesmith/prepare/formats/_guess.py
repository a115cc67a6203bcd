"""What is known and guessed about the records of one file while it is being looked at.

What a person gave is never changed. A guess that is not safe is not made: the refusal names the candidates.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tunesmith.core.errors import ConfigError, DataError, Place
from tunesmith.core.format import TaskKind
from tunesmith.prepare.formats._options import Columns, Labelling, SpanRules, Tagging
from tunesmith.prepare.formats._records import Record
from tunesmith.prepare.formats._stats import ColumnStats, columns_of

SHOWN = 12


@dataclass(kw_only=True)
class Guess:
    """The sample of a file with the options found so far, filled in step by step."""

    path: Path
    rows: Sequence[Record]
    columns: Columns
    labelling: Labelling
    tagging: Tagging
    spans: SpanRules
    task: TaskKind | None = None
    asked: bool = False
    """Whether a person said what the rows are for: then rows without labels are fine."""
    has_names: bool = True
    """Whether columns have names, from a header or as keys; else they are 1, 2, 3, ..."""
    several: bool = False
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stats = {column.name: column for column in columns_of(self.rows)}
        self.closed = frozenset(name for name, value in self.columns if value == "")
        """Fields of `Columns` that a person switched off with an empty name."""
        self.columns = self.columns.model_copy(update=dict.fromkeys(self.closed))

    def column(self, name: str) -> ColumnStats:
        """A column of the sample, also one deeper inside an object."""
        from_path = [_walk(row, name) for row in self.rows] if name not in self.stats else []
        return self.stats.get(name) or ColumnStats(name, from_path)

    def free(self) -> list[ColumnStats]:
        """The columns that nothing has been found for yet."""
        taken = {*self.columns.text, *(value for _, value in self.columns if isinstance(value, str))}
        return [column for name, column in self.stats.items() if name not in taken and column.present]

    def fill(self, found: Mapping[str, Any], note: str = "") -> None:
        """Set columns, and say why."""
        self.columns = self.columns.model_copy(update=dict(found))
        if note:
            self.notes.append(note)

    def require_known(self) -> None:
        """Check that the columns a person gave are in the file.

        Raises:
            ConfigError: one is not; the nearest name is given.
        """
        for key, value in self.columns:
            for name in value if isinstance(value, tuple) else (value,):
                if name and not any(_has(row, name) for row in self.rows):
                    near = difflib.get_close_matches(name, list(self.stats), n=1, cutoff=0.5)
                    hint = f"did you mean {near[0]!r}? " if near else ""
                    raise ConfigError(
                        f"{self.path.name} has no column {name!r}",
                        code="TS-CONF-020",
                        place=Place(key=f"data.{key}"),
                        fix=f"{hint}It has: {listed(list(self.stats))}.",
                    )

    def refusal(self, message: str, *, code: str, fix: str) -> DataError:
        """A refusal of the whole file."""
        return DataError(message, code=code, place=Place(file=str(self.path)), fix=fix)


def listed(items: Sequence[str]) -> str:
    """Names for a message: the first dozen."""
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return ", ".join(items[:SHOWN]) + more


def _walk(row: Record, name: str) -> Any:  # noqa: ANN401 - what JSON holds
    value: Any = row
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _has(row: Record, name: str) -> bool:
    return name in row or _walk(row, name) is not None
