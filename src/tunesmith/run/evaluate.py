"""Score a bundle on labelled rows: the same answers and the same arithmetic as the report."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tunesmith.bundle.opening import one_model
from tunesmith.bundle.predictor import Predictor
from tunesmith.core.errors import DataError, MissingInputError, Place
from tunesmith.core.example import Example
from tunesmith.core.prediction import Prediction
from tunesmith.core.task import RankingTask
from tunesmith.judge.scoring import Scores, score
from tunesmith.judge.stored import read_predictions, write_predictions
from tunesmith.prepare.reading import detect, read
from tunesmith.prepare.relevance import questions_of


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores on a file, how it was read, and where the answers lie if they were kept."""

    scores: Scores
    notes: tuple[str, ...]
    predictions: Path | None


def evaluated(
    bundle: Path,
    data: Path,
    *,
    out: Path | None = None,
    given: Mapping[str, Any] | None = None,
    adapter: str | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Evaluation:
    """Answer every row of `data` and score the answers. Memory does not grow with the file, but for a search.

    Args:
        bundle: a bundle, or a run folder that holds one.
        data: a labelled file in any format the project reads.
        out: keep the answers there as JSONL.
        given: options of the file format.
        adapter: which model answers, where the bundle holds several.
        progress: is told how many rows were answered.

    Raises:
        MissingInputError: no bundle or no file.
        ModelFileError: the bundle is damaged.
        UsageError: which model of several is not said, or there is none of that name.
        DataError: a bad row, or one without gold.
    """
    predictor = _judged(one_model(bundle_in(bundle), adapter=adapter))
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
    return Evaluation(scores, finding.notes, out)


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
    return Predictor(replace(predictor.bundle, task=task.judged())) if isinstance(task, RankingTask) else predictor


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
