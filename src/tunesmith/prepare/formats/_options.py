"""What a person can say about the rows of a file: the columns, how tags and spans are written, which labels exist.

Each group is one field of a format; in a configuration their keys stand side by side in `[data]`.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Scheme = Literal["IOB1", "IOB2", "BIOES", "BMES", "plain"]
"""How tags mark entities. `plain` is the label alone: neighbours with the same label are one entity."""


def _names(value: object) -> object:
    if isinstance(value, str | int) and not isinstance(value, bool):
        value = (value,)
    return tuple(str(item) for item in value) if isinstance(value, list | tuple) else value


def _name(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_names)]
Name = Annotated[str | None, BeforeValidator(_name)]


class Group(BaseModel):
    """A frozen, strict, closed set of options."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Columns(Group):
    """Which column (or JSON key; `a.b` reaches into an object) holds what. Without a header columns are 1, 2, 3, ..."""

    text: Names = ()
    """The text; several columns are joined by a blank, those of a prompt by an empty line."""
    pair: Name = None
    """The second text of a pair."""
    label: Name = None
    """The label, or a list of labels."""
    score: Name = None
    """The number that a pair is scored with."""
    entities: Name = None
    """Entities with character offsets."""
    answer: Name = None
    """The answer that is to be written, or a list of answers that are all right."""
    messages: Name = None
    """A conversation, as a list of messages with `role` and `content`."""
    answers: Name = None
    """Answers to a question (`pair`) with the characters of the text at which they begin."""
    impossible: Name = None
    """Says (true or false) that the text does not answer the question, whatever stands under `answers`."""
    tokens: Name = None
    """The words: a list, or a text cut at blanks."""
    tags: Name = None
    """One tag for each word."""
    id: Name = None
    """What names a row; the line does where absent. An empty name switches a guess off."""
    group: Name = None
    """Rows with the same value stay in one split (a document, a conversation, a person)."""
    time: Name = None
    """When the row was written; orders rows for a split by time."""
    weight: Name = None
    """How much the row counts in the loss."""
    split_column: Name = None
    """Names the split a row belongs to; `file.csv#train` takes the rows of one."""


class Tagging(Group):
    """How word tags are written."""

    scheme: Scheme | None = None
    """IOB1, IOB2 (BIO), BIOES, BMES or plain; guessed where absent."""
    joined: Literal["words", "characters"] | None = None
    """Whether tokens are words (joined by a blank) or characters of running text (joined by nothing)."""
    transitions: Literal["reject", "repair"] = "reject"
    """A tag that the scheme does not allow at its place (`I-X` after `O` in IOB2): refuse the row, or read it as
    conlleval does (it begins an entity)."""


class SpanRules(Group):
    """How entity spans and answers are written."""

    ends: Literal["exclusive", "inclusive"] | None = None
    """Whether the end of a span is the character after it or its last one; guessed where absent."""
    overlaps: Literal["reject", "longest"] = "reject"
    """Entities that share characters: refuse the row, or keep the longest (the first among equals)."""
    absent: Literal["reject", "none"] | None = None
    """A row without the key of the entities or answers: refuse it, or take it as a row without any."""
    stray: Literal["reject", "drop"] = "reject"
    """An answer that does not stand in the text: refuse the row, or leave the answer out where the row has others."""


class Labelling(Group):
    """How labels are written."""

    separator: str | None = None
    """What stands between several labels in one field."""
    label_names: Names = ()
    """Names for labels that are numbers: a list, or a file with one name a line."""
    first_label: Annotated[int, Field(ge=0)] = 0
    """The number that the first name stands for."""
    labels: Names = ()
    """Every label that may occur; a row with another one is refused."""
