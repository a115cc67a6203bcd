"""Score a bundle on labelled rows: the same answers and the same arithmetic as the report."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tunesmith.bundle.opening import one_model
from tunesmith.bundle.predictor import Predictor
from tunesmith.bundle.reranking import PLAIN, Stages
from tunesmith.core.errors import DataError, MissingInputError, Place
from tunesmith.core.example import Example, Source
from tunesmith.core.prediction import Prediction
from tunesmith.core.task import RankingTask
from tunesmith.judge.scoring import Scores, score
from tunesmith.judge.stored import read_predictions, write_predictions
from tunesmith.prepare.reading import detect, read
from tunesmith.prepare.relevance import questions_of
from tunesmith.run.reranked import Reranked, compared


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores on a file, how it was read, and where the answers lie if they were kept."""

    scores: Scores
    notes: tuple[str, ...]
    predictions: Path | None
    reranked: Reranked | None = None
    """Against the search alone, where a re-ranker answered"""
    index: str | None = None
    """What the index of a search is and finds, where one was asked for"""


def evaluated(
    bundle: Path,
    data: Path,
    *,
    out: Path | None = None,
    given: Mapping[str, Any] | None = None,
    adapter: str | None = None,
    progress: Callable[[int], None] = lambda done: None,
    stages: Stages = PLAIN,
) -> Evaluation:
    """Answer every row of `data` and score the answers. Memory does not grow with the file, but for a search.

    With a re-ranker the search is asked without it as well, and the two are compared.

    Args:
        bundle: a bundle, or a run folder that holds one.
        data: a labelled file in any format the project reads.
        out: keep the answers there as JSONL.
        given: options of the file format.
        adapter: which model answers, where the bundle holds several.
        progress: is told how many rows were answered.
        stages: what finds and what orders, of a search; the re-ranker may be a run.

    Raises:
        MissingInputError: no bundle or no file.
        ModelFileError: the bundle is damaged.
        UsageError: which model of several is not said, or there is none of that name; stages that do not fit.
        DataError: a bad row, or one without gold.
    """
    if stages.reranker is not None:
        stages = replace(stages, reranker=bundle_in(stages.reranker))
    predictor = _judged(one_model(bundle_in(bundle), adapter=adapter, stages=stages))
    task = predictor.bundle.task
    finding = detect(data, given={"task": task.rows, **(given or {})})

    def rows() -> Iterator[Prediction]:
        asked = _questions(predictor, read(data, finding.format))
        for done, prediction in enumerate(predictor.stream(asked), start=1):
            progress(done)
            yield prediction

    with tempfile.TemporaryDirectory() as scratch:
        kept = out or Path(scratch) / "predictions.jsonl"
        write_predictions(kept, rows())
        scores = score(read_predictions(kept), kind=task.kind(), main=task.main_metric)
        reranked = _against_the_search(predictor, list(read_predictions(kept))) if predictor.reranker else None
    collection = predictor.bundle.collection
    account = collection.index.account if collection and collection.index else None
    return Evaluation(scores, finding.notes, out, reranked, account)


def bundle_in(folder: Path) -> Path:
    """The bundle that `folder` is, or holds.

    Raises:
        MissingInputError: neither.
    """
    for candidate in (folder, folder / "bundle"):
        if (candidate / "bundle.json").is_file():
            return candidate
    raise MissingInputError(
        "there is no bundle here",
        code="TS-RUN-020",
        place=Place(file=str(folder)),
        fix="name a run folder that finished, or its bundle folder.",
    )


def _judged(predictor: Predictor) -> Predictor:
    """The predictor, of a search with as many answers as its metrics look at."""
    task = predictor.bundle.task
    if not isinstance(task, RankingTask):
        return predictor
    return Predictor(replace(predictor.bundle, task=task.judged()), reranker=predictor.reranker)


def _against_the_search(predictor: Predictor, after: list[Prediction]) -> Reranked:
    """The re-ranked answers beside those of the search alone, which gives all candidates."""
    task, reranker = predictor.bundle.task, predictor.reranker
    assert reranker and isinstance(task, RankingTask), "what is re-ranked was found by a search"
    alone = Predictor(replace(predictor.bundle, task=task.giving(reranker.candidates)))
    asked = (
        Example(id=said.id, text=said.text, gold=said.gold, group=said.group, source=said.source or Source("", 0))
        for said in after
    )
    return compared(after, list(alone.stream(asked)), kind=task.kind(), candidates=reranker.candidates)


def _questions(predictor: Predictor, examples: Iterator[Example]) -> Iterator[Example]:
    """The rows, which must have gold; of a search the distinct questions, whose documents are those of the bundle."""
    task, collection = predictor.bundle.task, predictor.bundle.collection
    if isinstance(task, RankingTask) and collection:
        return iter(questions_of(list(examples), collection.documents, task.grade))
    return _labelled(examples)


def _labelled(examples: Iterator[Example]) -> Iterator[Example]:
    for example in examples:
        if example.gold is None:
            raise DataError(
                "this row has no label to score against",
                code="TS-RUN-021",
                place=Place(file=example.source.file, line=example.source.line),
                fix="label it or leave it out; to get answers without scores use `tunesmith predict`.",
            )
        yield example
