"""What the values of one column look like in a sample: enough to tell a text from a label from a number."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tunesmith.prepare.formats._labels import plain

SHORT = 60
"""Characters; a label longer than this reads like a sentence."""


@dataclass(frozen=True)
class ColumnStats:
    """A column of the sample. `values` holds one entry a row, None where the row lacks it."""

    name: str
    values: Sequence[Any]

    @cached_property
    def present(self) -> list[Any]:
        """The values that are there and not blank."""
        return [
            value for value in self.values if value is not None and not (isinstance(value, str) and not value.strip())
        ]

    @cached_property
    def flat(self) -> list[str]:
        """Single values as text; the items of lists one by one."""
        found: list[str] = []
        for value in self.present:
            items = value if isinstance(value, list) else (value,)
            found += [plain(item) for item in items if not isinstance(item, dict | list)]
        return found

    @cached_property
    def strings(self) -> bool:
        """Whether the values are text; a stray number is a fault of its row, not of the column."""
        return sum(isinstance(value, str) for value in self.present) > 0.9 * len(self.present)

    @cached_property
    def lists(self) -> bool:
        """Whether every value is a list of single values."""
        values = self.present
        return bool(values) and all(
            isinstance(value, list) and not any(isinstance(item, dict | list) for item in value) for value in values
        )

    @cached_property
    def distinct(self) -> int:
        """Different values."""
        return len(set(self.flat))

    @cached_property
    def uniqueness(self) -> float:
        """Different values per value, 0 to 1."""
        return self.distinct / len(self.flat) if self.flat else 0.0

    @cached_property
    def length(self) -> float:
        """Mean characters of a value."""
        return sum(map(len, self.flat)) / len(self.flat) if self.flat else 0.0

    @cached_property
    def numeric(self) -> bool:
        """Whether every value is a number."""
        return bool(self.flat) and all(_is_number(value) for value in self.flat)

    @cached_property
    def fractional(self) -> bool:
        """Whether they are numbers and some are not whole."""
        return self.numeric and any(not float(value).is_integer() for value in self.flat)

    @property
    def text_like(self) -> bool:
        """Mostly different, of some length, not numbers."""
        return self.strings and not self.numeric and self.length > 6 and (self.uniqueness > 0.3 or self.length > SHORT)

    @property
    def label_like(self) -> bool:
        """Few different short values, at least two."""
        few = self.distinct <= max(2, 0.3 * len(self.flat))
        return self.distinct >= 2 and few and not self.fractional and max(map(len, self.flat)) <= SHORT

    @property
    def free_text(self) -> bool:
        """Nearly every value differs: not something a model could learn as a label."""
        if len(self.flat) < 20 or self.uniqueness <= 0.5:
            return False
        return (
            len(self.flat) >= 100
            or self.length > 30
            or sum(value.count(" ") for value in self.flat) > 2 * len(self.flat)
        )


def columns_of(rows: Sequence[Mapping[str, Any]]) -> list[ColumnStats]:
    """The columns of sampled records in order of first appearance; text inside an object is reached as `a.b`."""
    names: dict[str, None] = {}
    for row in rows:
        for name, value in row.items():
            names[name] = None
            if isinstance(value, dict):
                names |= {
                    f"{name}.{inner}": None for inner, item in value.items() if isinstance(item, str | int | float)
                }
    return [ColumnStats(name, [_reach(row, name) for row in rows]) for name in names]


def _reach(row: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 - any cell
    if name in row:
        return row[name]
    outer, _, inner = name.partition(".")
    value = row.get(outer)
    return value.get(inner) if isinstance(value, dict) else None


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return not value[-1:].isalpha()
