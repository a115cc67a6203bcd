"""What answers behind the queue: the one model of a bundle, or several over one backbone, each asked by its name.

    verify -> load -> prove -> answer

Every step is a call, so that the service can say which one it is at.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.bundle import golden
from tunesmith.bundle.answered import Answered
from tunesmith.bundle.approximate import searching
from tunesmith.bundle.integrity import check, read_manifest
from tunesmith.bundle.joined import load_joined, ready_joined
from tunesmith.bundle.joined_integrity import check_joined, is_joined, read_joined_manifest
from tunesmith.bundle.joined_predictor import JoinedPredictor, Questions
from tunesmith.bundle.manifest import Manifest
from tunesmith.bundle.opening import require_plain
from tunesmith.bundle.precision import Wanted, ready
from tunesmith.bundle.predictor import Predictor
from tunesmith.bundle.read import Bundle, load
from tunesmith.bundle.reranking import PLAIN, Stages, reranker_of
from tunesmith.core.prediction import Prediction
from tunesmith.serve.batcher import Ask


@dataclass(frozen=True, slots=True)
class Described:
    """One model, and what the playground shows of it."""

    manifest: Manifest
    examples: tuple[dict[str, Any], ...]
    """A few golden texts: `{"text", "pair"}`."""


@dataclass(frozen=True, slots=True)
class Proved:
    """What answers from now on."""

    version: str
    sha256: str
    models: Mapping[str, Described]
    """By name; the one of a bundle of its own has none, and stands under the empty word"""
    golden_rows: int
    precision: str
    reranker: Manifest | None = None
    """The pair model that orders what a search finds"""
    index: str | None = None
    """What the index of a search is and finds"""


class Models(ABC):
    """A bundle on its way to answering."""

    name: str
    """The bundle's"""
    adapters: tuple[str, ...]
    """Those of its models, where it has several"""

    @abstractmethod
    def verify(self) -> int:
        """Compare every byte; how many files there are."""

    @abstractmethod
    def load(self) -> None:
        """Build what was verified."""

    @abstractmethod
    def prove(self, precision: Wanted, *, batch_tokens: int) -> Proved:
        """Answer the golden rows in fp32, then get ready in `precision`."""

    @abstractmethod
    def answer(self, asks: Sequence[Ask]) -> tuple[list[Prediction], list[int]]:
        """The answers in order, and the tokens of each."""


def models_in(folder: Path, stages: Stages = PLAIN) -> Models:
    """What the bundle in `folder` holds; nothing is loaded yet.

    Raises:
        MissingInputError: no bundle is here, or none of the re-ranker.
        ModelFileError: its manifest was changed.
        UsageError: stages of a search for a bundle of several models.
    """
    if not is_joined(folder):
        return OneModel(folder, stages)
    require_plain(folder, stages)
    return SeveralModels(folder)


class OneModel(Models):
    """A bundle of one model; of a search perhaps with an index, and with a re-ranker out of a bundle of its own."""

    def __init__(self, folder: Path, stages: Stages = PLAIN) -> None:
        self.name, self.adapters = read_manifest(folder).name, ()
        self._stages = stages
        self._folders = [folder, *([stages.reranker] if stages.reranker else [])]
        for other in self._folders[1:]:
            read_manifest(other)

    def verify(self) -> int:
        """Compare every byte; how many files there are."""
        self._manifests = [check(folder) for folder in self._folders]
        return sum(len(manifest.files) for manifest in self._manifests)

    def load(self) -> None:
        """Build what was verified."""
        both = zip(self._folders, self._manifests, strict=True)
        self._bundles = [load(folder, manifest) for folder, manifest in both]

    def prove(self, precision: Wanted, *, batch_tokens: int) -> Proved:
        """Answer the golden rows in fp32, then get ready in `precision`."""
        (answering, rows), *others = [_proved(bundle, precision) for bundle in self._bundles]
        del self._bundles
        searched, stages = searching(answering, self._stages.index), self._stages
        pairs = [reranker_of(one, candidates=stages.candidates, relevant=stages.relevant) for one, _ in others]
        self._predictor = Predictor(searched, reranker=pairs[0] if pairs else None, batch_tokens=batch_tokens)
        manifest, *behind = self._manifests
        index = searched.collection.index if searched.collection else None
        return Proved(
            version=manifest.version,
            sha256=manifest.sha256,
            models={"": Described(manifest, _examples(self._folders[0]))},
            golden_rows=rows + sum(proved for _, proved in others),
            precision=searched.precision,
            reranker=behind[0] if behind else None,
            index=index.account if index else None,
        )

    def answer(self, asks: Sequence[Ask]) -> tuple[list[Prediction], list[int]]:
        """The answers in order, and the tokens of each."""
        answered = self._predictor.answer([ask.example for ask in asks])
        return answered.predictions, _tokens(answered, len(asks))


class SeveralModels(Models):
    """A bundle of several models. Texts for all of them go through the backbone together."""

    def __init__(self, folder: Path) -> None:
        manifest = read_joined_manifest(folder)
        self.name, self.adapters = manifest.name, manifest.adapters
        self._folder = folder

    def verify(self) -> int:
        """Compare every byte; how many files there are."""
        self._manifest, self._origins = check_joined(self._folder)
        return len(self._manifest.files)

    def load(self) -> None:
        """Build what was verified."""
        self._joined = load_joined(self._folder, self._manifest, self._origins)

    def prove(self, precision: Wanted, *, batch_tokens: int) -> Proved:
        """Answer the golden rows of every model in fp32, then get ready in `precision`."""
        answering = ready_joined(self._joined, "fp32")
        rows = sum(golden.prove(part) for part in answering.parts.values())
        if precision != "fp32":
            answering = ready_joined(self._joined, precision)
        del self._joined
        self._predictor = JoinedPredictor(answering, batch_tokens=batch_tokens)
        shown = {name: Described(part.manifest, _examples(part.folder)) for name, part in answering.parts.items()}
        return Proved(self._manifest.version, self._manifest.sha256, shown, rows, answering.precision)

    def answer(self, asks: Sequence[Ask]) -> tuple[list[Prediction], list[int]]:
        """The answers in order, and the tokens of each."""
        places: dict[str, list[int]] = {}
        for place, ask in enumerate(asks):
            places.setdefault(ask.adapter, []).append(place)
        asked = [Questions(name, [asks[place].example for place in own]) for name, own in places.items()]
        found: dict[int, tuple[Prediction, int]] = {}
        for own, answered in zip(places.values(), self._predictor.answer(asked), strict=True):
            said = zip(answered.predictions, _tokens(answered, len(own)), strict=True)
            found |= dict(zip(own, said, strict=True))
        return [found[place][0] for place in range(len(asks))], [found[place][1] for place in range(len(asks))]


def _proved(bundle: Bundle, precision: Wanted) -> tuple[Bundle, int]:
    """The bundle as it will answer, and how many golden rows it answered as it did once."""
    answering = ready(bundle, "fp32")
    rows = golden.prove(answering)
    if precision != "fp32":  # golden rows hold fp32 logits: nothing is cast before they are proved
        answering = ready(bundle, precision)
    return answering, rows


def _tokens(answered: Answered, count: int) -> list[int]:
    """How many tokens each of `count` examples was."""
    tokens = [0] * count
    for window in answered.windows:
        tokens[window.example] += len(window)
    return tokens


def _examples(folder: Path, most: int = 6) -> tuple[dict[str, Any], ...]:
    """Golden texts of different answers first, short ones before long ones, bare marks and numbers last."""
    rows = sorted(
        golden.read(folder), key=lambda row: (not any(map(str.isalpha, row.example.text)), len(row.example.text))
    )
    seen: set[str] = set()
    fresh: list[golden.GoldenRow] = []
    again: list[golden.GoldenRow] = []
    for row in rows:
        said = _kind_of(row.answer.get("predicted"))
        (again if said in seen else fresh).append(row)
        seen.add(said)
    return tuple({"text": row.example.text, "pair": row.example.pair} for row in (*fresh, *again)[:most])


def _kind_of(said: Any) -> str:  # noqa: ANN401 - an answer as JSON
    if isinstance(said, list):
        return ",".join(sorted({str(item.get("label") if isinstance(item, dict) else item) for item in said}))
    return said if isinstance(said, str) else "score"
