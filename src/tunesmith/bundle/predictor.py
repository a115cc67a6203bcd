"""Answers from a bundle: one text, a list, or a stream of any length in flat memory.

The same road for every caller: notebook, command line, service and evaluation. A text is answered alike alone and in
company, because windows never see each other.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import count, islice
from pathlib import Path
from typing import Final, overload

import torch

from tunesmith.bundle.answered import Answered, answered, require_text
from tunesmith.bundle.approximate import searching
from tunesmith.bundle.display import Predictions
from tunesmith.bundle.golden import prove
from tunesmith.bundle.precision import Wanted, ready
from tunesmith.bundle.read import Bundle, open_bundle
from tunesmith.bundle.reranking import PLAIN, Reranker, Stages, reranker_of
from tunesmith.core.errors import DataError, Place, UsageError
from tunesmith.core.example import Example, Source
from tunesmith.core.memory import give_back
from tunesmith.core.prediction import Prediction
from tunesmith.core.task import AnswerWriter, RankingTask, Task, WritingTask

CHUNK: Final = 1024
"""Examples held at a time while streaming: enough to sort by length, little enough to stay flat."""
TIDIED: Final = 16
"""Chunks of a stream after which memory that lies free is given back: it costs nothing to be felt"""

Input = str | tuple[str, str] | Example
"""A text, a text with its pair, or an example."""


class Predictor:
    """A bundle that answers, of a search perhaps with a re-ranker behind it. Not for two threads at once."""

    def __init__(self, bundle: Bundle, *, reranker: Reranker | None = None, batch_tokens: int = 4096) -> None:
        """Raises what `Reranker.require_fits` raises."""
        self.bundle = bundle
        self.reranker = reranker
        self._batch_tokens = batch_tokens
        self._task = reranker.require_fits(bundle).giving(reranker.candidates) if reranker else bundle.task

    @classmethod
    def load(cls, folder: Path | str, *, precision: Wanted = "fp32", stages: Stages = PLAIN) -> "Predictor":
        """Verify and open the bundle in `folder`; raises what `open_bundle`, `ready`, `prove` and `staged` raise.

        `precision` is that of `tunesmith.load`.
        """
        return staged(_proved(folder, precision), stages, precision=precision)

    @property
    def labels(self) -> tuple[str, ...]:
        """What the model can say; entity types without the prefixes of their scheme are in the answers."""
        return self.bundle.manifest.labels

    @overload
    def predict(self, inputs: Input) -> Prediction:
        """The answer to one input."""

    @overload
    def predict(self, inputs: list[Input] | list[str]) -> Predictions:
        """The answers to many inputs, in their order."""

    def predict(self, inputs: Input | list[Input] | list[str]) -> Prediction | Predictions:
        """The answer to one input, or the answers to a list of them in its order.

        Raises:
            DataError: an input is blank, or not what the task reads.
        """
        if isinstance(inputs, str | tuple | Example):
            return self.answer([as_example(inputs, 1)]).predictions[0]
        return Predictions(self.stream(as_example(item, line) for line, item in enumerate(inputs, start=1)))

    @property
    def chunk(self) -> int:
        """How many examples to hold at a time: a question that is re-ranked counts as many as are read with it."""
        return max(1, CHUNK // self.reranker.candidates) if self.reranker else CHUNK

    def stream(self, examples: Iterable[Example], *, chunk: int | None = None) -> Iterator[Prediction]:
        """Answers in the order of `examples`, holding at most `chunk` of them at a time."""
        waiting = iter(examples)
        for number in count(1):
            held = list(islice(waiting, chunk or self.chunk))
            if not held:
                return
            yield from self.answer(held).predictions
            if number % TIDIED == 0:
                give_back()  # what blocks of other sizes left free would add up over a million rows

    def answer(self, examples: Sequence[Example]) -> Answered:
        """Answers with the windows and logits behind them.

        Raises:
            DataError: an example is blank, or not what the task reads.
        """
        bundle = self.bundle
        self.require_readable(examples)
        found = answered(
            bundle.model,
            self._task,
            examples,
            tokenizer=bundle.tokenizer,
            source=self._writer or bundle.collection,
            batch_tokens=self._batch_tokens,
        )
        if self.reranker is None or not isinstance(bundle.task, RankingTask):
            return found
        return self.reranker.reranked(examples, found, count=bundle.task.answers, batch_tokens=self._batch_tokens)

    def write(self, given: Input) -> Iterator[str]:
        """The answer to one input in pieces, as it is written.

        Raises:
            UsageError: the bundle's task labels and does not write.
            DataError: the input is blank, or not what the task reads.
        """
        if self._writer is None:
            raise UsageError(
                f"a model for {self.bundle.task.kind()} does not write",
                code="TS-BUNDLE-035",
                fix="call predict, which gives the whole answer.",
            )
        example = as_example(given, 1)
        self.require_readable([example])
        return self._writer.stream(example)

    def require_readable(self, examples: Sequence[Example]) -> None:
        """Refuse what the task cannot read.

        Raises:
            DataError: an example is blank, or has a second text that the task would ignore.
        """
        require_text(examples)
        if reads_pairs(self.bundle.task):
            return
        for example in examples:
            if example.pair is not None:
                raise DataError(
                    "a second text was given and the task reads one",
                    code="TS-BUNDLE-021",
                    place=Place(file=example.source.file, line=example.source.line),
                    fix="leave the second text out.",
                )

    @cached_property
    def _writer(self) -> AnswerWriter | None:
        """The model ready to write, for a task that does."""
        bundle = self.bundle
        if not isinstance(bundle.task, WritingTask):
            return None
        dtype = torch.bfloat16 if bundle.precision == "bf16" else torch.float32
        return bundle.task.writer(bundle.model, bundle.tokenizer, dtype=dtype)


def staged(bundle: Bundle, stages: Stages, *, precision: Wanted = "fp32") -> Predictor:
    """A bundle that is ready to answer, as the stages of its search say; the re-ranker is verified and opened.

    Raises:
        UsageError: there is no such index, nothing to search, or a re-ranker that does not fit.
        MissingExtraError: faiss is not installed.
        ModelFileError: any byte of the re-ranker was changed.
    """
    searched = searching(bundle, stages.index)
    if stages.reranker is None:
        return Predictor(searched)
    pairs = _proved(stages.reranker, precision)
    return Predictor(searched, reranker=reranker_of(pairs, candidates=stages.candidates, relevant=stages.relevant))


def _proved(folder: Path | str, precision: Wanted) -> Bundle:
    """The bundle in the form that answers; its golden rows hold fp32 logits and are proved before anything is cast."""
    bundle = open_bundle(folder)
    prepared = ready(bundle, precision)
    if prepared.precision != "fp32":
        prove(bundle)
    return prepared


def reads_pairs(task: Task) -> bool:
    """Whether the task reads two texts: it compares them, or the second is a question about the first."""
    return task.rows in ("pair_matching", "extractive_qa") or (isinstance(task, RankingTask) and task.scores_pairs)


def as_example(given: Input, line: int) -> Example:
    """An unlabelled example; `line` is its place in what was given, from 1."""
    if isinstance(given, Example):
        return given
    text, pair = (given, None) if isinstance(given, str) else given
    return Example(id=str(line), text=text, pair=pair, source=Source("<input>", line))
