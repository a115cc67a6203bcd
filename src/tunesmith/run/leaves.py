"""Nested tables as dotted keys: how a configuration is addressed, shown and compared."""

from collections.abc import Iterator, Mapping
from typing import Any


def leaves(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of a nested table."""
    for key, value in table.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{name}.")
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            for index, item in enumerate(value):
                yield from leaves(item, f"{name}.{index}.")
        else:
            yield name, value
