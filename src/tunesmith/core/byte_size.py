"""How many bytes, in the unit a person thinks in: "2GB", "512 MiB".

Decimal units as disks and the rest of our output count: 1 GB is 10^9 bytes, 1 GiB is 2^30.
"""

import re
from typing import Final

from tunesmith.core.errors import ConfigError, Place

_FORM: Final = re.compile(r"(\d+(?:\.\d+)?) ?([kmgt]?)(i?)b?")
_POWERS: Final = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def parse_bytes(text: str, *, key: str) -> int:
    """The bytes that a text like "2GB" names.

    Raises:
        ConfigError: at `key`, where the text has another form or names less than one byte.
    """
    match = _FORM.fullmatch(text.strip().lower())
    count = int(float(match[1]) * (1024 if match[3] else 1000) ** _POWERS[match[2]]) if match else 0
    if count < 1:
        raise ConfigError(
            f"{text!r} is not an amount of memory",
            code="TS-CONF-060",
            place=Place(key=key),
            fix='write it like "2GB", "1.5GB" or "800MB".',
        )
    return count


def in_words(count: float) -> str:
    """`1.73 GB`, `612 MB`, `48 kB`"""
    for unit, size, digits in (("GB", 1e9, 2), ("MB", 1e6, 0), ("kB", 1e3, 0)):
        if count >= size:
            return f"{count / size:,.{digits}f} {unit}"
    return f"{count:,.0f} bytes"
