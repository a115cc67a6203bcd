"""What a person labelled. An `Example` survives unchanged from file to report, so every error can name its line."""

from dataclasses import dataclass

from tunesmith.core.conversation import Conversation


@dataclass(frozen=True, slots=True)
class Source:
    """The file and the line (from 1) an example was read from."""

    file: str
    line: int

    def __str__(self) -> str:
        """`file:line`, as an editor understands it."""
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """An entity or an answer: characters `start` to `end` (exclusive, code points) of the text carry `label`."""

    start: int
    end: int
    label: str


@dataclass(frozen=True, slots=True)
class LabelAndSpans:
    """One label of the whole text and the entities in it, in order: an intent with its slots."""

    label: str
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A text of a collection that questions are answered from."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Relevant:
    """A document that answers a question; the higher `grade`, the better it does. Above 0, and 1 unless rows grade."""

    id: str
    text: str
    grade: float = 1.0


@dataclass(frozen=True, slots=True)
class Node:
    """A node of a tree of labels: `label` is the whole path down to it."""

    label: str


Gold = tuple[Span, ...] | str | tuple[str, ...] | LabelAndSpans | float | tuple[Relevant, ...] | tuple[Node, ...]
"""Spans of entities or of answers, one label or written answer, several of them, a label with spans, a score, the
documents that answer, or the nodes on the way down a tree of labels: the task knows which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One labelled (or, with `gold=None`, unlabelled) text.

    `words` holds the borders of the words where the file gave words: a tag then belongs to a whole word.
    `turns` are the messages before `text` where a conversation was given; the text is then the last message of a user.
    `negatives` are texts that could be taken for `pair` and are not meant. `group` keeps rows that belong together in
    one split; `time` orders rows (ISO 8601).
    """

    id: str
    text: str
    source: Source
    pair: str | None = None
    negatives: tuple[str, ...] = ()
    words: tuple[tuple[int, int], ...] | None = None
    turns: Conversation = ()
    gold: Gold | None = None
    group: str | None = None
    time: str | None = None
    weight: float = 1.0
