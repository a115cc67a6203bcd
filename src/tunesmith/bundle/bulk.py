"""A file of questions to a file of answers, a chunk at a time: original order out, memory flat, rows that add up."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal, TextIO

from tunesmith.bundle.answers import answer_of, csv_cells, csv_line, json_line
from tunesmith.bundle.predictor import Predictor
from tunesmith.bundle.questions import Question
from tunesmith.core.atomic import replacing
from tunesmith.core.errors import CannotCreateError, DataError, Place, StorageError

OutputKind = Literal["jsonl", "csv"]


@dataclass(slots=True)
class Counts:
    """Rows by what became of them; `read` is their sum."""

    answered: int = 0
    blank: int = 0
    rejected: int = 0

    @property
    def read(self) -> int:
        """Every row that the input had."""
        return self.answered + self.blank + self.rejected

    def as_record(self) -> dict[str, int]:
        """A JSON-ready object."""
        return {"read": self.read, "answered": self.answered, "blank": self.blank, "rejected": self.rejected}


def answers(
    predictor: Predictor, questions: Iterable[Question], counts: Counts, *, chunk: int | None = None
) -> Iterator[tuple[Question, dict[str, Any]]]:
    """Each question with its answer, in order; the answer to a blank text is empty."""
    waiting = iter(questions)
    while held := list(islice(waiting, chunk or predictor.chunk)):
        asked = [question.example for question in held if not question.blank]
        found = iter(predictor.answer(asked).predictions if asked else ())
        for question in held:
            if question.blank:
                counts.blank += 1
                yield question, {}
            else:
                counts.answered += 1
                yield question, answer_of(next(found))


def lines(
    answered: Iterable[tuple[Question, dict[str, Any]]], kind: OutputKind, *, columns: tuple[str, ...], scores: bool
) -> Iterator[str]:
    """The lines of the output, for CSV after a header of `id`, `text` and `columns` (see `columns_of`)."""
    if kind == "csv":
        yield csv_line(["id", "text", *columns])
    for question, answer in answered:
        example = question.example
        if kind == "csv":
            row = answer | ({"pair": example.pair} if example.pair is not None else {})
            yield csv_line([example.id, example.text, *csv_cells(row, columns)])
            continue
        record: dict[str, Any] = {"id": example.id, "text": example.text}
        if example.pair is not None:
            record["pair"] = example.pair
        if not scores:
            answer.pop("scores", None)
        yield json_line(record | answer)


def columns_of(predictor: Predictor, *, pairs: bool, scores: bool) -> tuple[str, ...]:
    """The CSV columns behind `id` and `text` that answers of this bundle fill."""
    table = predictor.bundle.task.as_table()
    if table["kind"] == "token_classification":
        return ("entities", "truncated")
    if table["kind"] == "joint_classification":
        return ("label", "confidence", "entities", *(("scores",) if scores else ()), "truncated")
    if predictor.bundle.collection:
        return ("documents", "truncated")
    if table["kind"] == "extractive_qa":
        return ("pair", "answer", "start", "end", "confidence", "truncated")
    if table["kind"] == "generation":
        return ("answer", "truncated")
    said = ("score",) if not predictor.labels else ("labels",) if table.get("multi_label") else ("label", "confidence")
    front = ("pair", *said) if pairs else said
    return (*front, *(("scores",) if scores and predictor.labels else ()), "truncated")


@contextmanager
def output(path: Path | None, standard: TextIO) -> Iterator[Callable[[str], object]]:
    """Where lines go: standard output, or a file that appears only when it is complete.

    Raises:
        CannotCreateError: the folder is missing or may not be written.
        StorageError: the disk failed or is full; nothing is left behind.
    """
    if path is None:
        yield standard.write
        standard.flush()
        return
    try:
        with replacing(path) as file:
            yield file.write
    except BrokenPipeError:
        raise  # who reads standard output left: nothing is wrong with this file
    except OSError as error:
        kinds = (PermissionError, FileNotFoundError, IsADirectoryError, NotADirectoryError)
        kind = CannotCreateError if isinstance(error, kinds) else StorageError
        raise kind(
            f"cannot be written: {error.strerror or error}",
            code="TS-BUNDLE-032",
            place=Place(file=str(path)),
            fix="choose another place with --out, or make room.",
        ) from None


_SHOWN: Final = 200_000


def reject_line(error: DataError, row: str) -> str:
    """One line of the file of skipped rows: what is wrong, where, and the row itself in JSON-safe form."""
    safe = row[:_SHOWN].encode("utf-8", "backslashreplace").decode("utf-8")
    return f"{json.dumps(error.as_record() | {'row': safe}, ensure_ascii=False)}\n"
