"""From rows of question and document to what a search is measured by: a collection, and questions with answers."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from tunesmith.core.errors import DataError, Place
from tunesmith.core.example import Document, Example, Relevant


def documents_of(examples: Iterable[Example]) -> tuple[Document, ...]:
    """The distinct second texts of the rows in the order in which they come up.

    A document is named by a hash of its text: it has the same name in every run, however the rows are split.
    """
    texts = dict.fromkeys(example.pair for example in examples if example.pair is not None)
    return tuple(Document(_name(text), text) for text in texts)


def _name(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


def require_known(documents: Iterable[Document], examples: Iterable[Example]) -> None:
    """Check that the documents of these rows are in the collection: what is not can never be found.

    Raises:
        DataError: at the line of the first row whose document is not.
    """
    known = {document.text for document in documents}
    for example in examples:
        if example.pair not in known:
            raise DataError(
                "the document of this row is not among data.documents",
                code="TS-DATA-090",
                place=Place(file=example.source.file, line=example.source.line),
                fix="add it there, or leave data.documents out: the documents of all rows are searched then.",
            )


def questions_of(
    examples: Sequence[Example], documents: Iterable[Document], grade: Callable[[Example], float]
) -> list[Example]:
    """The distinct questions, each as its first row has it, with all documents that answer it for gold.

    Rows of equal texts are one question. A question without an answer is left out: there is nothing to find. A document
    that several rows grade has the best of its grades. One that the collection lacks can never be found and counts as
    missed, under an id of its own.
    """
    known = {document.text: document.id for document in reversed(list(documents))}
    rows: dict[str, Example] = {}
    answers: dict[str, dict[str, Relevant]] = {}
    for example in examples:
        value = grade(example) if example.pair is not None else 0.0
        if example.pair is None or value <= 0:
            continue
        name = known.get(example.pair, f"not in the collection: {example.pair}")
        rows.setdefault(example.text, example)
        own = answers.setdefault(example.text, {})
        if name not in own or own[name].grade < value:
            own[name] = Relevant(name, example.pair, value)
    return [replace(row, pair=None, negatives=(), gold=tuple(answers[text].values())) for text, row in rows.items()]
