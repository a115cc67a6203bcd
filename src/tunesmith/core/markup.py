"""Answers as HTML for a notebook cell: highlighted entities and label bars, every character of a user escaped.

Self-contained inline styles, because a notebook keeps no stylesheet; colours with enough contrast on light and dark.
"""

import html
import zlib
from collections.abc import Mapping, Sequence
from typing import Final

_HUES: Final = (212, 28, 152, 276, 340, 186, 88, 244, 8, 52)
_FRAME: Final = "font-family:system-ui,sans-serif;font-size:14px;line-height:1.9;max-width:60em;white-space:pre-wrap"


def framed(body: str) -> str:
    """The box one answer stands in."""
    return f'<div style="{_FRAME}">{body}</div>'


def hue(label: str) -> int:
    """The colour of a label, in degrees: the same in every process and on every page."""
    return _HUES[zlib.crc32(label.encode("utf-8", "surrogatepass")) % len(_HUES)]


def highlighted(text: str, spans: Sequence[tuple[int, int, str, float]]) -> str:
    """`text` with each (start, end, label, confidence) marked. A span that overlaps an earlier one is left out."""
    parts: list[str] = []
    at = 0
    for start, end, label, confidence in sorted(spans):
        if start < at:
            continue
        parts.append(html.escape(text[at:start]))
        parts.append(_mark(text[start:end], label, confidence))
        at = end
    return "".join((*parts, html.escape(text[at:])))


def bars(scores: Mapping[str, float], *, chosen: Sequence[str] = (), most: int = 8) -> str:
    """The `most` likeliest labels as horizontal bars, the chosen ones bold."""
    ranked = sorted(scores.items(), key=lambda item: -item[1])[:most]
    return "".join(_bar(label, share, label in chosen) for label, share in ranked)


def _mark(text: str, label: str, confidence: float) -> str:
    colour = hue(label)
    style = (
        f"background:hsl({colour} 80% 50% / .22);border-bottom:2px solid hsl({colour} 70% 50%);"
        "border-radius:3px;padding:1px 3px"
    )
    tag = f'<sub style="font-size:11px;opacity:.8;padding-left:3px">{html.escape(label)} {confidence:.0%}</sub>'
    return f'<mark style="{style};color:inherit">{html.escape(text)}{tag}</mark>'


def _bar(label: str, share: float, chosen: bool) -> str:
    weight = "600" if chosen else "400"
    fill = f"width:{100 * min(max(share, 0.0), 1.0):.1f}%;background:hsl({hue(label)} 70% 50%);height:8px"
    return (
        '<div style="display:flex;align-items:center;gap:8px">'
        f'<span style="width:14em;overflow:hidden;text-overflow:ellipsis;font-weight:{weight}">'
        f"{html.escape(label)}</span>"
        f'<span style="flex:1;background:hsl(0 0% 50% / .2);border-radius:4px;overflow:hidden">'
        f'<span style="display:block;{fill};border-radius:4px"></span></span>'
        f'<span style="width:4em;text-align:right">{share:.1%}</span></div>'
    )
