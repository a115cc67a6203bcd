"""Rows of a search as pairs that a re-ranker learns from: what answers a question, and what only looks as if it did.

Each document that answers a question makes a pair labelled "relevant"; each one that a row says does not, and the
nearest wrong documents of a given search, make pairs labelled "irrelevant". A document that any row of any split calls
an answer to the question is never a wrong one, however question and document are spaced or capitalised. A document
that nobody marked may answer all the same: where many documents say the same, rows should name them all.

Source: Nogueira & Cho 2019, Passage re-ranking with BERT (negatives are what the first stage found).
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tunesmith.bundle.precision import ready
from tunesmith.bundle.predictor import Predictor
from tunesmith.bundle.read import Bundle, open_bundle
from tunesmith.bundle.reranking import documents_in
from tunesmith.core.errors import ConfigError, Place
from tunesmith.core.example import Example
from tunesmith.core.prediction import Ranked
from tunesmith.core.task import RankingTask
from tunesmith.prepare.duplicates import normalized
from tunesmith.prepare.splitting import fingerprint
from tunesmith.run.config import RunConfig
from tunesmith.run.data import RunData
from tunesmith.run.evaluate import bundle_in
from tunesmith.run.folder import RunFolder, write_lines
from tunesmith.tasks.pair_matching import PairMatching

RELEVANT, IRRELEVANT = "relevant", "irrelevant"


def with_candidates(config: RunConfig, data: RunData) -> RunData:
    """The rows of each split as pairs where `data.mined` names a search; as they are where it does not.

    Raises:
        ConfigError: another task than pair_matching with labels, or a bundle that searches no documents.
        MissingInputError: no bundle is there.
        ModelFileError: the bundle is damaged.
        DataError: at the line of a row whose gold does not say whether its document answers.
    """
    mined, task = config.data.mined, config.task
    if mined is None:
        return data
    if not isinstance(task, PairMatching) or task.score_range:
        raise ConfigError(
            "only a model that reads question and document together learns to tell such pairs apart",
            code="TS-RUN-050",
            place=Place(key="data.mined"),
            fix='set task.kind = "pair_matching", without a score_range; a search finds its own with task.mined.',
        )
    search = _search(config, mined.by)
    pairs = _pairs_of(data.splits(), search, negatives=mined.negatives)
    manifest, counts = search.manifest, {name: len(rows) for name, rows in pairs.items()}
    record = data.record | {
        "mined": {"by": manifest.name, "sha256": manifest.sha256, "negatives": mined.negatives},
        "fingerprint": {name: fingerprint(rows) for name, rows in pairs.items()},
        "counts": counts,
    }
    sizes = ", ".join(f"{count:,} of {name}" for name, count in counts.items())
    notes = (*data.notes, f"rows became pairs: {sizes}; wrong documents are the nearest of {manifest.name}")
    train, dev, test = pairs["train"], pairs["dev"], pairs["test"]
    return replace(data, train=train, dev=dev, test=test, named=train, record=record, notes=notes)


def write_pairs(folder: RunFolder, data: RunData) -> None:
    """Keep the pairs where a person can look at them, each file whole or not there."""
    for name, examples in data.splits().items():
        rows = ({"id": row.id, "text": row.text, "pair": row.pair, "label": row.gold} for row in examples)
        write_lines(folder.mined(name), (json.dumps(row, ensure_ascii=False) for row in rows))


@dataclass(slots=True)
class _Question:
    """As its first row has it, with the documents that rows call right and wrong, each once."""

    row: Example
    right: dict[str, None] = field(default_factory=dict)
    wrong: dict[str, None] = field(default_factory=dict)


def _search(config: RunConfig, name: str) -> Bundle:
    bundle = ready(open_bundle(bundle_in(config.path(name))), "fp32")
    if bundle.collection:
        return bundle
    raise ConfigError(
        f"a model for {bundle.task.kind()} without documents finds no wrong ones",
        code="TS-RUN-051",
        place=Place(key="data.mined.by"),
        fix="name a run of a search, or its bundle.",
    )


def _pairs_of(
    splits: Mapping[str, Sequence[Example]], search: Bundle, *, negatives: int
) -> dict[str, tuple[Example, ...]]:
    """The pairs of every split. The search gives enough documents for all that may not be taken to be passed over."""
    task = search.task
    assert isinstance(task, RankingTask) and search.collection, "a bundle with documents ranks them"
    asked = {name: _questions(rows, task.grade) for name, rows in splits.items()}
    everything = [question for questions in asked.values() for question in questions]
    answers = _answers(everything)
    passed = max((len(answers[normalized(one.row.text)]) + len(one.wrong) for one in everything), default=0)
    most = min(negatives + passed, len(search.collection.documents))
    predictor = Predictor(replace(search, task=task.giving(most)))
    pairs = {}
    for name, questions in asked.items():
        found = predictor.stream(_bare(question.row) for question in questions)
        pairs[name] = tuple(
            pair
            for question, said in zip(questions, found, strict=True)
            for pair in _pairs(question, documents_in(said), answers, negatives)
        )
    return pairs


def _questions(rows: Iterable[Example], grade: Callable[[Example], float]) -> list[_Question]:
    found: dict[str, _Question] = {}
    for row in rows:
        question = found.setdefault(row.text, _Question(row))
        if row.pair is not None:
            (question.right if grade(row) > 0 else question.wrong)[row.pair] = None
        question.wrong |= dict.fromkeys(row.negatives)
    return list(found.values())


def _answers(questions: Iterable[_Question]) -> dict[str, set[str]]:
    """The normalised documents that answer each normalised question, by whatever row."""
    answers: defaultdict[str, set[str]] = defaultdict(set)
    for question in questions:
        answers[normalized(question.row.text)] |= set(map(normalized, question.right))
    return dict(answers)


def _pairs(
    question: _Question, near: Iterable[Ranked], answers: Mapping[str, set[str]], negatives: int
) -> Iterator[Example]:
    """The pairs of a question. Without a known answer nothing is mined: what is near may be just that."""
    known = answers[normalized(question.row.text)]
    given = [text for text in question.wrong if normalized(text) not in known]
    mined = [found.text for found in near if normalized(found.text) not in known and found.text not in question.wrong]
    wrong = [*given, *(mined[:negatives] if known else [])]
    labelled = [*((text, RELEVANT) for text in question.right), *((text, IRRELEVANT) for text in wrong)]
    for number, (text, label) in enumerate(labelled, start=1):
        row = question.row
        yield replace(row, id=f"{row.id}/{number}", pair=text, gold=label, negatives=(), group=row.group or row.text)


def _bare(row: Example) -> Example:
    return replace(row, pair=None, gold=None, negatives=())
