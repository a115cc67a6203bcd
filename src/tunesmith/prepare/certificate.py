"""The alignment certificate: proof, before a model learns anything, that its labels survive the tokenizer.

Every entity makes the whole trip: characters -> units -> tags -> sub-words of a window -> tags -> characters. What does
not come back as it went is listed with its line.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tunesmith.core.errors import DataError, Place
from tunesmith.core.example import Example, LabelAndSpans, Source, Span
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.prepare.alignment import Scheme, place, spans_of, tags_of, units_of_example, words_of
from tunesmith.prepare.characters import Level

FaultKind = Literal["repaired", "lossy", "truncated"]
_NAMED = 5
"""Faults that a refusal names; the certificate lists all of them."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One entity that does not survive as it is. `became` is where a repaired one was moved."""

    kind: FaultKind
    span: Span
    text: str
    """The characters of the entity."""
    reason: str
    example: str
    source: Source
    became: Span | None = None

    def describe(self) -> str:
        """One line: kind, entity, place in the text, reason."""
        where = f"{self.span.start}-{self.span.end}"
        moved = f" (now {self.became.start}-{self.became.end})" if self.became else ""
        return f"{self.kind} {self.span.label} {self.text!r} at characters {where}{moved}: {self.reason}"

    def as_record(self) -> dict[str, Any]:
        """A JSON-ready object."""
        record: dict[str, Any] = {
            "kind": self.kind,
            "label": self.span.label,
            "start": self.span.start,
            "end": self.span.end,
            "text": self.text,
            "reason": self.reason,
            "example": self.example,
            "source": {"file": self.source.file, "line": self.source.line},
        }
        moved = self.became
        return record | ({"became": {"start": moved.start, "end": moved.end}} if moved else {})


@dataclass(frozen=True, slots=True)
class Certificate:
    """What becomes of the entities of a data set: `total = exact + repaired + lossy + truncated`."""

    total: int
    exact: int
    repaired: int
    lossy: int
    truncated: int
    faults: tuple[Fault, ...]

    @property
    def loss(self) -> float:
        """The share of entities, in [0, 1], that the model cannot learn: lossy and truncated ones."""
        return (self.lossy + self.truncated) / self.total if self.total else 0.0

    @property
    def clean(self) -> bool:
        """Whether every entity survives exactly as it was labelled."""
        return self.exact == self.total

    def require(self, limit: float = 0.005) -> None:
        """Refuse to go on where more than `limit` of the entities are lost.

        Raises:
            DataError: TS-ALIGN-001, naming the first of them.
        """
        if self.loss <= limit:
            return
        lost = [fault for fault in self.faults if fault.kind != "repaired"]
        named = "".join(f"\n  {fault.source}: {fault.describe()}" for fault in lost[:_NAMED])
        more = f"\n  and {len(lost) - _NAMED} more" if len(lost) > _NAMED else ""
        raise DataError(
            f"{len(lost)} of {self.total} entities ({self.loss:.2%}) do not survive tokenisation, "
            f"more than the {limit:.2%} allowed:{named}{more}\n",
            code="TS-ALIGN-001",
            place=Place(file=lost[0].source.file, line=lost[0].source.line),
            fix="correct these rows, choose finer units (task.units), or allow a higher loss if you accept it.",
        )

    def as_record(self) -> dict[str, Any]:
        """A JSON-ready object with every fault."""
        counts = {"total": self.total, "exact": self.exact, "repaired": self.repaired, "lossy": self.lossy}
        faults = [fault.as_record() for fault in self.faults]
        return counts | {"truncated": self.truncated, "loss": self.loss, "faults": faults}


def certify(
    examples: Iterable[Example],
    tokenizer: Tokenizer,
    *,
    level: Level,
    scheme: Scheme,
    max_length: int | None = None,
) -> Certificate:
    """Send every entity through the round trip. Examples without entity spans count nothing.

    Args:
        examples: read once, one at a time.
        tokenizer: the one the model will use.
        level: how raw texts are cut into units; words that the file gave are kept.
        scheme: how entities are written as tags.
        max_length: tokens of a window with special tokens; the tokenizer's own limit where it is smaller or None.
    """
    frame = tokenizer.max_length - tokenizer.room
    room = min(max_length or tokenizer.max_length, tokenizer.max_length) - frame
    total = 0
    faults: list[Fault] = []
    for example in examples:
        spans = spans_in(example)
        total += len(set(spans))
        if spans:
            faults.extend(_faults(example, spans, tokenizer, level=level, scheme=scheme, room=room))
    count = {kind: sum(fault.kind == kind for fault in faults) for kind in ("repaired", "lossy", "truncated")}
    return Certificate(total=total, exact=total - len(faults), faults=tuple(faults), **count)


def spans_in(example: Example) -> tuple[Span, ...]:
    """The entity spans of an example; none where its gold is of another kind."""
    if isinstance(example.gold, LabelAndSpans):
        return example.gold.spans
    gold = example.gold if isinstance(example.gold, tuple) else ()
    return tuple(item for item in gold if isinstance(item, Span))


def _faults(
    example: Example, spans: Sequence[Span], tokenizer: Tokenizer, *, level: Level, scheme: Scheme, room: int
) -> list[Fault]:
    units = units_of_example(example, level)
    pieces = tokenizer.words(words_of(example.text, units))
    tags, misfits = tags_of(spans, units, scheme)
    back = set(spans_of(_through_sub_words(tags, pieces), units))
    explained = {misfit.span for misfit in misfits}

    def fault(kind: FaultKind, span: Span, reason: str, became: Span | None = None) -> Fault:
        shown = example.text[span.start : span.end]
        return Fault(kind, span, shown, reason, example.id, example.source, became)

    found = [fault(m.kind, m.span, m.reason, m.became) for m in misfits if m.became is None or m.became in back]
    found += [fault("lossy", m.span, "its tags do not read back") for m in misfits if m.became and m.became not in back]
    for first, last, span in place(spans, units)[0]:
        if span in explained:
            continue
        if span not in back:
            found.append(fault("lossy", span, "its tags do not read back"))
        elif max(map(len, pieces[first:last])) > room:
            found.append(fault("truncated", span, f"one of its words has more than the {room} sub-words of a window"))
    return sorted(found, key=lambda item: item.span)


def _through_sub_words(tags: Sequence[str], pieces: Sequence[tuple[int, ...]]) -> list[str]:
    """Write each tag on the first sub-word of its unit, and read the tags of first sub-words back."""
    written: list[str | None] = []
    for tag, ids in zip(tags, pieces, strict=True):
        written += [tag, *(None for _ in ids[1:])][: len(ids)]
    return [tag for tag in written if tag is not None]
