"""The file of documents that are searched: plain lines, JSONL or CSV with `text` and, if they have names, `id`."""

from pathlib import Path

from tunesmith.bundle.questions import Columns, Questions, file_lines, kind_of
from tunesmith.core.errors import DataError, Place
from tunesmith.core.example import Document


def read_documents(path: Path) -> tuple[Document, ...]:
    """The documents of a file; blank ones are left out, of equal texts the first is kept.

    Raises:
        MissingInputError: no such file.
        DataError: a row that cannot be read, two documents of one name, or no document at all.
    """
    reader = Questions(kind_of(path), file=str(path), columns=Columns(), pairs=False)
    found: dict[str, Document] = {}
    names: set[str] = set()
    for question in reader.read(file_lines(path, None)):
        example = question.example
        if question.blank or example.text in found:
            continue
        if example.id in names:
            raise DataError(
                f"two documents are named {example.id!r}",
                code="TS-DATA-091",
                place=Place(file=str(path), line=example.source.line),
                fix="give each a name of its own, or none.",
            )
        names.add(example.id)
        found[example.text] = Document(example.id, example.text)
    if not found:
        raise DataError(
            "there are no documents in it",
            code="TS-DATA-092",
            place=Place(file=str(path)),
            fix="write one document a line.",
        )
    return tuple(found.values())
