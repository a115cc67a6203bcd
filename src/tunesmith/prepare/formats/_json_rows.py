"""Strict JSON with the column of a mistake: NaN, a key twice, depth and broken surrogates are faults of the row."""

import json
from typing import Any

from tunesmith.core.strict_json import JsonFault, parse
from tunesmith.prepare.formats._faults import SKIP, RowFault


def parsed(text: str) -> Any:  # noqa: ANN401 - what JSON holds
    """The value of one JSON text.

    Raises:
        RowFault: with the offset where it can be told.
    """
    try:
        return parse(text)
    except JsonFault as fault:
        raise _located(text, fault) from None


def _located(text: str, fault: JsonFault) -> RowFault:
    message, offset = fault.message, 0
    if message.startswith("not JSON"):
        try:
            json.loads(text)
        except json.JSONDecodeError as error:
            message, offset = f"not JSON: {error.msg}", error.pos
    elif "twice" in message and (key := _repeated(text)) is not None:
        message, offset = f"the key {key!r} occurs twice in one object", text.rfind(json.dumps(key, ensure_ascii=False))
    elif message.endswith("is not JSON"):
        offset = text.find(message.split()[0])
    fix = "repair the JSON (one object a line, keys once, no NaN or Infinity, at most 64 levels)"
    return RowFault(
        message,
        code="TS-DATA-019" if fault.syntax else "TS-DATA-020",
        fix=f"{fix}, {SKIP}.",
        offset=max(offset, 0),
    )


def _repeated(text: str) -> str | None:
    found: list[str] = []

    def note(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        found.extend(key for key in keys if keys.count(key) > 1)
        return dict(pairs)

    try:
        json.loads(text, object_pairs_hook=note)
    except ValueError:
        return None
    return found[0] if found else None
