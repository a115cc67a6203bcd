"""Findings of an audit, brought into the shape of tables: rows of one kind stand together."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.judge.errors_table import visible

_DIGEST = re.compile("[0-9a-f]{40,128}")
MOST, LONGEST = 12, 400
"""Items of a list and characters of a text that a cell shows."""
STATUSES = ("ok", "warn", "fail")


def audit_view(audit: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """The sections of `{"sections": [{"title", "summary", "status", "rows"}]}`, each with its rows as tables.

    A table has `columns`, `numbers` (the columns whose cells are all numbers) and `rows` of cell texts.
    """
    sections = (audit or {}).get("sections") or []
    return [
        {
            "title": str(section.get("title", "")),
            "summary": str(section.get("summary", "")),
            "status": section.get("status") if section.get("status") in STATUSES else "warn",
            "tables": _tables(section.get("rows") or []),
        }
        for section in sections
    ]


def _tables(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    by_columns: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        by_columns.setdefault(tuple(row), []).append(row)
    return [
        {
            "columns": list(columns),
            "numbers": [name for name in columns if all(_is_number(row[name]) for row in found)],
            "rows": [{name: plain(row[name]) for name in columns} for row in found],
        }
        for columns, found in by_columns.items()
    ]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def facts_view(record: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Names and values for people: nested tables as dotted names, empty ones left out."""
    found: list[tuple[str, str]] = []
    for name, value in record.items():
        if isinstance(value, Mapping):
            found += facts_view(value, f"{prefix}{name}.")
        elif value is not None and value != "":
            found.append((f"{prefix}{name}", plain(value)))
    return found


def plain(value: object) -> str:
    """A JSON value as a person writes it: separators in large numbers, four digits in small ones."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    if isinstance(value, Mapping):
        return _few([f"{name} {plain(item)}" for name, item in list(value.items())[: MOST + 1]], len(value))
    if isinstance(value, list | tuple):
        return _few([plain(item) for item in value[: MOST + 1]], len(value))
    text = visible(str(value))
    if _DIGEST.fullmatch(text):
        return f"{text[:12]}…"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _few(items: list[str], count: int) -> str:
    rest = f", … ({count:,})" if count > MOST else ""
    return ", ".join(items[:MOST]) + rest
