"""The documents of a search with their vectors: exact search, a place for an index, and how they lie in a bundle.

    index.safetensors    vectors [n, D] float32, of length 1
    documents.jsonl      {"id", "text"}, one a line, in the order of the vectors

Exact search reads every vector once a question: one matrix product. Equal scores keep the order of the collection, so
that an answer does not depend on the machine's sorting. `approximate` makes an index where that takes too long.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from tunesmith.core.errors import ModelFileError, Place
from tunesmith.core.example import Document
from tunesmith.core.model import Model
from tunesmith.core.prediction import Ranked
from tunesmith.core.strict_json import JsonFault, parse
from tunesmith.core.task import RankingTask
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.models.weights import read_tensors

BLOCK = 256
"""Questions that are compared with all documents at once"""


Found = tuple[NDArray[np.int64], NDArray[np.float32]]
"""The places of the documents found for a question, best first, and their cosines"""


class Index(ABC):
    """Finds near vectors without comparing a question with all."""

    @property
    @abstractmethod
    def account(self) -> str:
        """What it is and how much of exact search it finds, in a sentence."""

    @abstractmethod
    def nearest(self, questions: NDArray[np.float32], *, count: int) -> list[Found]:
        """For each of the vectors [q, D] about the `count` nearest, or all where there are fewer."""


@dataclass(frozen=True, slots=True)
class Collection:
    """Documents [n] and their vectors [n, D]; with an index, which is asked in the place of all vectors."""

    documents: tuple[Document, ...]
    vectors: NDArray[np.float32]
    index: Index | None = None

    def nearest(self, questions: NDArray[np.float32], *, count: int) -> list[tuple[Ranked, ...]]:
        """For each of the vectors [q, D] the `count` nearest documents, or all where there are fewer, best first."""
        found = self.index.nearest(questions, count=count) if self.index else self._exact(questions, count)
        return [
            tuple(self._ranked(int(place), float(cosine)) for place, cosine in zip(*near, strict=True))
            for near in found
        ]

    def _exact(self, questions: NDArray[np.float32], count: int) -> Iterator[Found]:
        for start in range(0, len(questions), BLOCK):
            for cosines in questions[start : start + BLOCK] @ self.vectors.T:
                order = highest(cosines, count)
                yield order, cosines[order]

    def _ranked(self, index: int, cosine: float) -> Ranked:
        document = self.documents[index]
        return Ranked(document.id, document.text, cosine)


def highest(scores: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """The places of the `count` highest of the scores [n], highest first; of equal ones the first stands first."""
    if count < len(scores):
        limit = np.partition(scores, len(scores) - count)[len(scores) - count]
        among = np.flatnonzero(scores >= limit)
    else:
        among = np.arange(len(scores))
    return among[np.argsort(-scores[among], kind="stable")][:count]


def collection_of(
    model: Model,
    task: RankingTask,
    documents: Sequence[Document],
    *,
    tokenizer: Tokenizer,
    progress: Callable[[int], None] | None = None,
) -> Collection:
    """The documents as the model reads them now. `progress` receives how many were read by each pass."""
    windows = task.documents([document.text for document in documents], tokenizer)
    return Collection(tuple(documents), task.vectors(model, windows, progress=progress))


def index_bytes(collection: Collection) -> bytes:
    """`index.safetensors`."""
    written: bytes = save({"vectors": np.ascontiguousarray(collection.vectors)})
    return written


def documents_bytes(collection: Collection) -> bytes:
    """`documents.jsonl`."""
    lines = (json.dumps(asdict(document), ensure_ascii=False) for document in collection.documents)
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace")


def read_collection(index: Path, documents: Path, *, width: int) -> Collection:
    """The collection of a bundle whose files were found to be what was written.

    Raises:
        ModelFileError: they do not fit one another, or a backbone of this width.
    """
    found = []
    with documents.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                record = parse(line)
                found.append(Document(str(record["id"]), str(record["text"])))
            except (JsonFault, KeyError, TypeError):
                raise _unfit(documents, "holds a line that is no document", line=number) from None
    tensors = read_tensors([index])
    vectors = tensors["vectors"].numpy() if tensors.keys() == {"vectors"} else np.zeros((0, 0), np.float32)
    if vectors.shape != (len(found), width) or not np.isfinite(vectors).all():
        raise _unfit(index, f"does not hold {len(found)} vectors of {width} finite numbers")
    return Collection(tuple(found), vectors)


def _unfit(path: Path, message: str, *, line: int | None = None) -> ModelFileError:
    return ModelFileError(
        f"{path.name} {message}",
        code="TS-BUNDLE-040",
        place=Place(file=str(path), line=line),
        fix="write the bundle again from a run that you trust.",
    )
