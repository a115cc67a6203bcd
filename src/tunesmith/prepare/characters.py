"""Where a text may be cut into units: regular expressions over Unicode classes, built once on first use.

Python's `re` knows letters and digits but neither combining marks nor scripts, so the mark ranges are read off
`unicodedata` (about 15 ms) and the scripts written without blanks are listed here.
"""

import re
import unicodedata
from functools import cache
from typing import Literal

Level = Literal["words", "classes", "characters"]
"""How fine a text is cut, from coarse to fine. Every border of a level is a border of the finer ones."""

LEVELS: tuple[Level, ...] = ("words", "classes", "characters")

# Scripts in which a word is not marked by blanks and one sign is a fair unit: ideographs with their marks and
# repetition signs, kana, bopomofo. Hangul is written with blanks and stays a letter.
_ALONE = (
    "\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3038-\u303c"  # repetition marks, zero, Hangzhou numerals
    "\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f"  # kana, half width too
    "\u3105-\u312f\u31a0-\u31bf"  # bopomofo
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U0001b000-\U0001b16f\U00020000-\U0003ffff"
)
_JOINERS = "\u200c\u200d"
_FLAG_LETTER = "[\U0001f1e6-\U0001f1ff]"
_SKIN_AND_TAGS = "\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f"


@cache
def pattern(level: Level) -> re.Pattern[str]:
    """The expression whose matches are the units of a level; between them there are only blanks.

    "words": runs of letters and digits with their marks and joiners, each ideograph or kana alone, each other sign
    alone (an emoji with its modifiers and everything joined to it is one sign). "classes": the same, and a run is
    cut where it changes between digits, capitals, small letters and letters without case (`iPhone12` gives `i`,
    `Phone`, `12`). "characters": every code point that is not blank.
    """
    if level == "characters":
        return re.compile(r"\S")
    marks = f"{_marks()}{_JOINERS}"
    sign = rf"{_FLAG_LETTER}{{2}}|[^\w\s][{marks}{_SKIN_AND_TAGS}]*(?:(?<=\u200d)[^\w\s][{marks}{_SKIN_AND_TAGS}]*)*|_"
    letter = rf"[^\W_{_ALONE}]"
    run = rf"{letter}[{marks}]*(?:{letter}[{marks}]*)*"
    if level == "classes":
        run = "|".join(rf"{kind}[{marks}]*(?:{kind}[{marks}]*)*" for kind in (rf"(?:(?=\d){letter})",))
        capital, small = f"[{_cased('Lu', 'Lt')}]", f"[{_cased('Ll')}]"
        other = rf"(?:(?!\d|{capital}|{small}){letter})"
        run += rf"|{capital}[{marks}]*(?:{small}[{marks}]*)+"
        run += "".join(rf"|{kind}[{marks}]*(?:{kind}[{marks}]*)*" for kind in (small, other))
        run += rf"|(?:{capital}[{marks}]*(?!{small}))+|{capital}[{marks}]*"
    return re.compile(rf"{run}|[{_ALONE}][{marks}]*|{sign}")


def _marks() -> str:
    return _ranges([code for code, category in _categories() if category[0] == "M"])


def _cased(*wanted: str) -> str:
    return _ranges([code for code, category in _categories() if category in wanted])


@cache
def _categories() -> list[tuple[int, str]]:
    """Every code point of the planes with marks or capitals, with its general category."""
    codes = [*range(0x20000), *range(0xE0100, 0xE01F0)]  # the last are variation selectors, and between are ideographs
    return list(zip(codes, map(unicodedata.category, map(chr, codes)), strict=True))


def _ranges(codes: list[int]) -> str:
    """Sorted code points as the inside of a character class."""
    parts: list[str] = []
    first = last = codes[0]
    for code in [*codes[1:], -1]:
        if code == last + 1:
            last = code
            continue
        parts.append(re.escape(chr(first)) + (f"-{re.escape(chr(last))}" if last > first else ""))
        first = last = code
    return "".join(parts)
