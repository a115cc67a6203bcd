"""Entities with character offsets, in the shapes that are found in the wild, checked against their text.

[{"start": 0, "end": 4, "label": "PER"}]           also startIndex/endIndex, begin/stop, type/slot/tag, `text`
[{"slot": "time", "valueSpan": {"endIndex": 6}}]   offsets in an object of their own; an absent start is 0
[[0, 4, "PER"]]                                    annotation tools
{"PER": {"Anna": [[0, 3]]}}                        CLUE, its end is the last character
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

from tunesmith.core.example import Span
from tunesmith.prepare.formats._faults import SKIP, RowFault
from tunesmith.prepare.formats._options import SpanRules

_START = ("start", "startIndex", "start_index", "start_offset", "begin", "from")
_END = ("end", "endIndex", "end_index", "end_offset", "stop", "to")
_LABEL = ("label", "type", "slot", "tag", "entity", "entity_group", "entity_type", "category", "labels")
_SURFACE = ("text", "surface", "value", "word", "mention")
_INNER = ("valueSpan", "span", "offsets", "offset")


class RawSpan(NamedTuple):
    """A span as the file gives it, before its end is known to be inclusive or not."""

    start: int
    end: int
    label: str
    surface: str | None


def is_spans(value: object) -> bool:
    """Whether a value has the shape of entities (an empty list has)."""
    if isinstance(value, Mapping):
        return bool(value) and all(_is_nested(inner) for inner in value.values())
    if not isinstance(value, list):
        return False
    return all(_is_item(item) for item in value)


def raw_spans(value: object, key: str) -> list[RawSpan]:
    """The spans of one row.

    Raises:
        RowFault: not a shape of entities, or an offset that is not a whole number.
    """
    if isinstance(value, Mapping):
        return list(_nested(value, key))
    if isinstance(value, list):
        return [_from_list(item, key) if isinstance(item, list) else _from_object(item, key) for item in value]
    raise _malformed("entities must be a list of objects with start, end and label", key)


def spans_of(value: object, text: str, rules: SpanRules, *, key: str) -> tuple[Span, ...]:
    """The checked spans of one row, sorted.

    Raises:
        RowFault: a span outside the text, reversed, empty, overlapping, or whose surface is not what stands there.
    """
    plus = 1 if rules.ends == "inclusive" else 0
    spans = [_checked(raw, raw.end + plus, text, key) for raw in raw_spans(value, key)]
    spans.sort()
    if rules.overlaps == "longest":
        return _longest(spans)
    for before, after in pairwise(spans):
        if after.start < before.end:
            raise RowFault(
                f"the entities {before.label!r} [{before.start}, {before.end}) and {after.label!r} "
                f"[{after.start}, {after.end}) overlap",
                code="TS-DATA-024",
                fix=f'remove one of them, set overlaps = "longest" to keep the longer, {SKIP}.',
                key=key,
            )
    return tuple(spans)


def guess_ends(rows: list[tuple[str, Any]], key: str) -> tuple[str, str | None]:
    """ "inclusive" where the surfaces given beside the spans say so, and a note; CLUE's nested shape counts as such."""
    votes = {"inclusive": 0, "exclusive": 0}
    for text, value in rows:
        try:
            spans = raw_spans(value, key)
        except RowFault:
            continue
        for raw in spans:
            if raw.surface is not None:
                votes["exclusive"] += text[raw.start : raw.end] == raw.surface
                votes["inclusive"] += text[raw.start : raw.end + 1] == raw.surface
    if votes["inclusive"] > votes["exclusive"]:
        return "inclusive", f"span ends are inclusive ({votes['inclusive']} surfaces match only so)"
    return "exclusive", None


def _checked(raw: RawSpan, end: int, text: str, key: str) -> Span:
    start, label = raw.start, raw.label
    shown = f"the entity {label!r} [{start}, {end})"
    if start > end:
        raise RowFault(
            f"{shown} ends before it begins", code="TS-DATA-023", fix=f"swap start and end, {SKIP}.", key=key
        )
    if start == end:
        fix = 'give it at least one character (is the end meant inclusively? then set ends = "inclusive")'
        raise RowFault(f"{shown} is empty", code="TS-DATA-025", fix=f"{fix}, {SKIP}.", key=key)
    if start < 0 or end > len(text):
        fix = "count offsets in characters, not bytes or words, from 0 to the character after the last"
        raise RowFault(
            f"{shown} lies outside the text of {len(text)} characters",
            code="TS-DATA-022",
            fix=f"{fix}, {SKIP}.",
            key=key,
        )
    if raw.surface is not None and text[start:end] != raw.surface:
        raise RowFault(
            f"{shown} should read {raw.surface[:40]!r}, but the text there is {text[start:end][:40]!r}",
            code="TS-DATA-026",
            fix=f"correct the offsets (characters, not bytes) or the surface, {SKIP}.",
            key=key,
        )
    if text[start:end].isspace():
        raise RowFault(f"{shown} holds only blanks", code="TS-DATA-025", fix=f"remove it, {SKIP}.", key=key)
    return Span(start, end, label)


def _longest(spans: list[Span]) -> tuple[Span, ...]:
    kept: list[Span] = []
    for span in sorted(spans, key=lambda item: (item.start - item.end, item.start)):
        if all(span.end <= other.start or other.end <= span.start for other in kept):
            kept.append(span)
    return tuple(sorted(kept))


def _nested(value: Mapping[str, Any], key: str) -> Iterator[RawSpan]:
    for label, surfaces in value.items():
        if not _is_nested(surfaces):
            raise _malformed(f"the entities of {label!r} must map each surface to [[start, end], ...]", key)
        for surface, places in surfaces.items():
            for start, end in places:
                yield RawSpan(start, end, str(label), str(surface))


def _is_nested(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(places, list)
        and all(isinstance(p, list) and len(p) == 2 and all(map(_is_offset, p)) for p in places)
        for places in value.values()
    )


def _is_item(item: object) -> bool:
    if isinstance(item, list):
        return len(item) == 3 and _is_offset(item[0]) and _is_offset(item[1]) and isinstance(item[2], str)
    if not isinstance(item, Mapping):
        return False
    inner = _offsets(item)
    return any(name in inner for name in _END) and any(name in item for name in _LABEL)


def _from_list(item: list[Any], key: str) -> RawSpan:
    if not _is_item(item):
        raise _malformed(f"an entity given as a list must be [start, end, label], not {str(item)[:60]}", key)
    return RawSpan(item[0], item[1], item[2], None)


def _from_object(item: object, key: str) -> RawSpan:
    if not isinstance(item, Mapping):
        raise _malformed("entities must be objects with start, end and label", key)
    if (
        type(start := item.get("start")) is int
        and type(end := item.get("end")) is int
        and isinstance(item.get("label"), str)
    ):
        surface = item.get("text")
        if item["label"].strip() and (surface is None or isinstance(surface, str)):
            return RawSpan(start, end, item["label"], surface)
    inner = _offsets(item)
    start = next((inner[name] for name in _START if name in inner), 0)
    end = next((inner[name] for name in _END if name in inner), None)
    label = next((item[name] for name in _LABEL if name in item), None)
    label = label[0] if isinstance(label, list) and len(label) == 1 else label
    if not isinstance(label, str) or not label.strip():
        raise _malformed("an entity has no label", key)
    if not isinstance(start, int) or not isinstance(end, int) or not _is_offset(start) or not _is_offset(end):
        raise _malformed(f"the entity {label!r} has no whole numbers as start and end", key)
    surface = next((item[name] for name in _SURFACE if isinstance(item.get(name), str)), None)
    return RawSpan(start, end, label, surface)


def _offsets(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """The object that holds the offsets. Protobuf's JSON leaves a start of 0 out."""
    return next((item[name] for name in _INNER if isinstance(item.get(name), Mapping)), item)


def _is_offset(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _malformed(message: str, key: str) -> RowFault:
    fix = f'write [{{"start": 0, "end": 4, "label": "PER"}}] with character offsets, {SKIP}.'
    return RowFault(message, code="TS-DATA-027", fix=fix, key=key)
