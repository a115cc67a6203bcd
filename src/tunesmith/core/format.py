"""The contract of a file format: whether a file is of this kind, and its rows as a stream of examples.

A format is a value like every component: what was detected about a file (delimiter, columns, tag scheme, ...) is
written into its fields, so that a finding can be printed, saved, changed and applied to the next file.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from tunesmith.core.component import Component, Room
from tunesmith.core.errors import DataError
from tunesmith.core.example import Example

TaskKind = Literal[
    "token_classification",
    "text_classification",
    "joint_classification",
    "text_regression",
    "pair_matching",
    "retrieval",
    "extractive_qa",
    "generation",
]
"""What rows can be for: entities in a text, labels of a text, both of them, the relation of two texts, documents that
answer a question, answers in a text, or answers to be written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What rows of a kind have in common, whichever task learns from them."""

    written: bool = False
    """The gold is an answer in words, no label that other rows carry too; rows that ask the same are one question"""
    within_text: bool = False
    """Rows ask about a text that other rows ask about as well, and find their gold in it"""
    of_question: bool = False
    """Several rows answer one question, each with a document of its own"""


ROWS: Mapping[str, Rows] = {
    "generation": Rows(written=True),
    "extractive_qa": Rows(within_text=True),
    "retrieval": Rows(of_question=True),
}
"""Kinds whose rows do not stand each for itself with its labels"""

READ_AS: Mapping[str, TaskKind] = {
    "cloze_classification": "text_classification",
    "hierarchical_classification": "text_classification",
    "label_matching": "text_classification",
}
"""Kinds of task whose rows look like those of another kind"""

Reject = Callable[[DataError, str], None]
"""Takes a bad row: what is wrong with it, and the row as it stands in the file (shortened)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The beginning of a file. `lines` keep their ends and hold whole lines only, unless the file is one long line.

    `encoding` is empty for a folder and for a binary file (`magic` holds its first bytes); `complete` says whether
    `lines` are the whole file; `notes` what was noticed while decoding.
    """

    path: Path
    lines: tuple[str, ...] = ()
    encoding: str = ""
    complete: bool = True
    magic: bytes = b""
    notes: tuple[str, ...] = ()

    @property
    def suffix(self) -> str:
        """The ending of the file name in small letters, dot included."""
        return self.path.suffix.lower()


@dataclass(frozen=True, slots=True)
class Match:
    """A format with everything filled in that the sample tells, the task of its rows, and a note for each guess."""

    format: "Format"
    task: TaskKind
    notes: tuple[str, ...]


class Format(Component):
    """How the rows of a file become examples. Fields left at None or empty are guessed by `sniff`."""

    task: TaskKind | None = None
    """What the rows are for; guessed from the columns where absent."""

    @abstractmethod
    def resembles(self, sample: Sample) -> float:
        """How much a file looks like this format, 0 to 1, at a glance."""

    @abstractmethod
    def sniff(self, sample: Sample) -> Match | None:
        """The format with its open fields filled in, or None where the sample cannot be read this way at all.

        Raises:
            DataError: the file is of this format but no task can be read from it; the fix says what to set.
            ConfigError: a column that was given is not in the file.
        """

    @abstractmethod
    def read(self, path: Path, *, reject: Reject | None = None) -> Iterator[Example]:
        """The examples of a file in order, one at a time.

        Raises:
            DataError: the first bad row at its line and column, unless `reject` takes it.
        """

    def splits(self, path: Path) -> tuple[str, ...]:
        """The splits that a file names itself (by a column, or by keys); each is read as `path#split`."""
        return ()

    def options(self) -> dict[str, Any]:
        """The fields that differ from their defaults as flat keys, as a configuration writes them."""
        return _flat(self)


def option_names(model: type[BaseModel]) -> dict[str, tuple[str, ...]]:
    """Flat key -> path of the field; the fields of a nested model are keys of their own."""
    names: dict[str, tuple[str, ...]] = {}
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            names |= {key: (name, *path) for key, path in option_names(inner).items()}
        else:
            names[name] = (name,)
    return names


def _flat(model: BaseModel) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name in type(model).model_fields:
        value = model.__dict__[name]
        if isinstance(value, BaseModel):
            flat |= _flat(value)
        elif value != type(model).model_fields[name].get_default(call_default_factory=True):
            flat[name] = list(value) if isinstance(value, tuple) else value
    return flat


FORMATS = Room("tunesmith.prepare.formats", Format)  # type: ignore[type-abstract]
"""Beside its contract, and named again in `core.rooms`: reading must not import torch, as the other contracts do."""
