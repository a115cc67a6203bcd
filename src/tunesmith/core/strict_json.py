"""JSON as RFC 8259 means it, for bytes that a stranger wrote: no NaN, no duplicate key, no surrogate, bounded depth.

Python's own reader accepts `NaN`, turns `1e999` into infinity, keeps the last of two equal keys and lets lone
surrogates through, each of which becomes an internal error somewhere later. Here all of them are refused at the door.
"""

import json
import math
from typing import Any, NoReturn


class JsonFault(ValueError):
    """Why a text is not acceptable JSON. `syntax` is false where the grammar is right but a value is refused."""

    def __init__(self, message: str, *, syntax: bool = True) -> None:
        super().__init__(message)
        self.message = message
        self.syntax = syntax


def parse(data: bytes | str, *, max_depth: int = 64) -> Any:  # noqa: ANN401 - any JSON value
    """The value that `data` describes, in UTF-8 where it is bytes.

    Raises:
        JsonFault: not UTF-8, not JSON, nested deeper than `max_depth`, a key twice in one object, a number that no
            float holds, or a string with half of a surrogate pair. The message never repeats the input.
    """
    try:
        text = data.decode("utf-8") if isinstance(data, bytes) else data
    except UnicodeDecodeError as error:
        raise JsonFault(f"not UTF-8 at byte {error.start}") from None
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_constant, parse_float=_float)
    except JsonFault:
        raise
    except json.JSONDecodeError as error:
        raise JsonFault(f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise JsonFault(f"nested deeper than {max_depth}", syntax=False) from None
    except ValueError:  # an integer of more digits than the interpreter converts
        raise JsonFault("a number has too many digits", syntax=False) from None
    _check(value, max_depth)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise JsonFault("a key occurs twice in one object", syntax=False)
    return found


def _constant(name: str) -> NoReturn:
    raise JsonFault(f"{name} is not JSON")


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise JsonFault("a number is too large", syntax=False)
    return value


def _check(value: object, max_depth: int) -> None:
    """Depth and surrogates, level by level instead of by recursion."""
    level: list[object] = [value]
    depth = 0
    while level:
        depth += 1
        deeper: list[object] = []
        for item in level:
            if isinstance(item, str):
                _check_text(item)
            elif isinstance(item, dict):
                deeper += item.keys()
                deeper += item.values()
            elif isinstance(item, list):
                deeper += item
        if depth > max_depth and any(isinstance(item, dict | list) for item in level):
            raise JsonFault(f"nested deeper than {max_depth}", syntax=False)
        level = deeper


def _check_text(text: str) -> None:
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise JsonFault("a string holds half of a surrogate pair", syntax=False) from None
