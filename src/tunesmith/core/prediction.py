"""What a model said about one example, beside what the person said: all that reports and metrics are computed from."""

import html
from dataclasses import asdict, dataclass, field
from typing import Any

from tunesmith.core.conversation import Conversation, Message
from tunesmith.core.example import Example, Gold, LabelAndSpans, Node, Relevant, Source, Span
from tunesmith.core.markup import bars, framed, highlighted


@dataclass(frozen=True, slots=True)
class ScoredSpan:
    """A predicted entity or answer: characters `start` to `end` (exclusive) with the model's confidence in [0, 1]."""

    start: int
    end: int
    label: str
    confidence: float

    def span(self) -> Span:
        """The entity without its confidence."""
        return Span(self.start, self.end, self.label)


@dataclass(frozen=True, slots=True)
class LabelAndScoredSpans:
    """A predicted label of the whole text and the predicted entities in it, in order. How sure the label is, the
    prediction says."""

    label: str
    spans: tuple[ScoredSpan, ...]

    def plain(self) -> LabelAndSpans:
        """The same without confidences."""
        return LabelAndSpans(self.label, tuple(span.span() for span in self.spans))


@dataclass(frozen=True, slots=True)
class Ranked:
    """A document that was found for a question, with the cosine of the two in [-1, 1].

    Where a re-ranker ordered anew, `score` is what it said, and `first_score` the cosine.
    """

    id: str
    text: str
    score: float
    first_score: float | None = None

    def as_record(self) -> dict[str, Any]:
        """A JSON-ready object."""
        record: dict[str, Any] = {"id": self.id, "text": self.text, "score": self.score}
        return record if self.first_score is None else record | {"first_score": self.first_score}


@dataclass(frozen=True, slots=True)
class ScoredNode:
    """A node of a tree of labels with the probability that the text belongs below it."""

    label: str
    confidence: float


Answer = (
    tuple[ScoredSpan, ...]
    | str
    | tuple[str, ...]
    | LabelAndScoredSpans
    | float
    | tuple[Ranked, ...]
    | tuple[ScoredNode, ...]
)
"""Scored spans, one label or written answer, several labels, a label with scored spans, a score, documents, the best
first, or the nodes on the way down to a label: the predicted counterpart of `Gold`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """One answer. `scores` maps every label (or node) to its probability for the classification tasks, else is empty.

    `truncated` counts the characters that the model never saw; whatever lies there counts as missed.
    """

    id: str
    text: str
    predicted: Answer
    pair: str | None = None
    words: tuple[tuple[int, int], ...] | None = None
    turns: Conversation = ()
    gold: Gold | None = None
    group: str | None = None
    source: Source | None = None
    confidence: float | None = None
    scores: dict[str, float] = field(default_factory=dict)
    truncated: int = 0
    likelihood: tuple[float, int] | None = None
    """Of a gold answer that the model could have written: its log p, the sum over its tokens, and their number"""
    instead: ScoredSpan | None = None
    """For a question that may lack an answer, what stands on the other side of the line: the best answer where none was
    given, an empty span where one was, each with its probability."""

    @classmethod
    def about(
        cls,
        example: Example,
        predicted: Answer,
        *,
        confidence: float | None = None,
        scores: dict[str, float] | None = None,
        truncated: int = 0,
        instead: ScoredSpan | None = None,
    ) -> "Prediction":
        """An answer beside everything that the example carried."""
        return cls(
            id=example.id,
            text=example.text,
            predicted=predicted,
            pair=example.pair,
            words=example.words,
            turns=example.turns,
            gold=example.gold,
            group=example.group,
            source=example.source,
            confidence=confidence,
            scores=scores or {},
            truncated=truncated,
            instead=instead,
        )

    def as_record(self) -> dict[str, Any]:
        """A JSON-ready object; `Prediction.from_record` gives back an equal prediction."""
        record: dict[str, Any] = {"id": self.id, "text": self.text, "predicted": _plain(self.predicted)}
        if self.source is not None:
            record["source"] = {"file": self.source.file, "line": self.source.line}
        if self.scores:
            record["scores"] = self.scores
        if self.truncated:
            record["truncated"] = self.truncated
        if self.turns:
            record["turns"] = [{"role": turn.role, "content": turn.content} for turn in self.turns]
        if self.likelihood is not None:
            record["likelihood"] = list(self.likelihood)
        if self.words is not None:
            record["words"] = [list(word) for word in self.words]
        if self.gold is not None:
            record["gold"] = _plain(self.gold)
        if self.instead is not None:
            record["instead"] = _plain_item(self.instead)
        optional = {"pair": self.pair, "group": self.group, "confidence": self.confidence}
        return record | {name: value for name, value in optional.items() if value is not None}

    def _repr_html_(self) -> str:
        """What a notebook shows: the text with its entities, or the labels as bars."""
        chosen = self.predicted
        if isinstance(chosen, str) and not self.scores:
            return framed(f"{_shown(self.text, self.pair)}<br><b>{html.escape(chosen)}</b>")
        if isinstance(chosen, LabelAndScoredSpans):
            marked = highlighted(self.text, [(s.start, s.end, s.label, s.confidence) for s in chosen.spans])
            return framed(f"{marked}{bars(self.scores, chosen=(chosen.label,))}")
        if isinstance(chosen, float):
            return framed(f"{_shown(self.text, self.pair)}<br><b>{chosen:.4g}</b>")
        if isinstance(chosen, tuple) and chosen and isinstance(chosen[0], Ranked):
            found = [item for item in chosen if isinstance(item, Ranked)]
            rows = "".join(f"<li>{html.escape(item.text)} <small>{item.score:.3f}</small></li>" for item in found)
            return framed(f"{html.escape(self.text)}<ol>{rows}</ol>")
        if self.scores:
            names = (chosen,) if isinstance(chosen, str) else tuple(map(_name, chosen))
            return framed(_shown(self.text, self.pair) + bars(self.scores, chosen=names))
        if not chosen and self.pair is not None:
            return framed(f"<b>{html.escape(self.pair)}</b> <i>no answer</i><br>{html.escape(self.text)}")
        spans = [item for item in chosen if isinstance(item, ScoredSpan)] if not isinstance(chosen, str) else []
        marked = highlighted(self.text, [(span.start, span.end, span.label, span.confidence) for span in spans])
        return framed(marked if self.pair is None else f"<b>{html.escape(self.pair)}</b><br>{marked}")

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "Prediction":
        """The prediction that `as_record` wrote."""
        fields = dict(record)
        fields["predicted"] = _answer(record["predicted"])
        if "gold" in record:
            fields["gold"] = _gold(record["gold"])
        if "source" in record:
            fields["source"] = Source(**record["source"])
        if "turns" in record:
            fields["turns"] = tuple(Message(**turn) for turn in record["turns"])
        if "likelihood" in record:
            fields["likelihood"] = tuple(record["likelihood"])
        if "words" in record:
            fields["words"] = tuple((start, end) for start, end in record["words"])
        if "instead" in record:
            fields["instead"] = ScoredSpan(**record["instead"])
        return cls(**fields)


Item = Span | ScoredSpan | Relevant | Ranked | Node | ScoredNode | str


def _shown(text: str, pair: str | None) -> str:
    return html.escape(text) if pair is None else f"{html.escape(text)}<br>{html.escape(pair)}"


def _plain(value: Gold | Answer) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, LabelAndSpans | LabelAndScoredSpans):
        return {"label": value.label, "spans": [_plain_item(span) for span in value.spans]}
    if isinstance(value, tuple):
        return [_plain_item(item) for item in value]
    return value


def _name(item: Item) -> str:
    return item.label if isinstance(item, ScoredNode) else str(item)


def _plain_item(item: Item) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(item, str):
        return item
    if isinstance(item, Ranked):
        return item.as_record()
    if isinstance(item, Relevant | Node | ScoredNode):
        return asdict(item)
    plain: dict[str, Any] = {"start": item.start, "end": item.end, "label": item.label}
    return plain | ({"confidence": item.confidence} if isinstance(item, ScoredSpan) else {})


def _gold(value: Any) -> Gold:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        return LabelAndSpans(value["label"], tuple(Span(**item) for item in value["spans"]))
    if not isinstance(value, list):
        return value  # type: ignore[no-any-return]  # JSON gave a str or a float, which is what Gold is
    if value and isinstance(value[0], dict) and "grade" in value[0]:
        return tuple(Relevant(**item) for item in value)
    if value and isinstance(value[0], dict) and "start" not in value[0]:
        return tuple(Node(**item) for item in value)
    return tuple(Span(**item) if isinstance(item, dict) else item for item in value)


def _answer(value: Any) -> Answer:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        return LabelAndScoredSpans(value["label"], tuple(ScoredSpan(**item) for item in value["spans"]))
    if not isinstance(value, list):
        return value  # type: ignore[no-any-return]  # JSON gave a str or a float, which is what Answer is
    if value and isinstance(value[0], dict) and "score" in value[0]:
        return tuple(Ranked(**item) for item in value)
    if value and isinstance(value[0], dict) and "start" not in value[0]:
        return tuple(ScoredNode(**item) for item in value)
    return tuple(ScoredSpan(**item) if isinstance(item, dict) else item for item in value)
