"""Encode, run and decode: the one road to an answer, for a bundle and for a model that is still being trained."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from tunesmith.bundle.collection import Collection
from tunesmith.core.batch import Encoding
from tunesmith.core.errors import DataError, Place
from tunesmith.core.example import Example
from tunesmith.core.model import Model
from tunesmith.core.prediction import Prediction
from tunesmith.core.task import AnswerWriter, LabellingTask, RankingTask, Task, WritingTask
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.models.inference import WRITING_TOKENS, logits_of


@dataclass(frozen=True, slots=True)
class Answered:
    """Predictions [n] with what led to them: `windows` of all examples and the fp32 logits [m, C] of each window.

    Of answers that were written the windows hold what was asked, and there are no logits. Of a search the logits of a
    window are its vector [1, D].
    """

    predictions: list[Prediction]
    windows: list[Encoding]
    logits: list[Tensor]

    @property
    def tokens(self) -> int:
        """Tokens that went through the model, special tokens included."""
        return sum(len(window) for window in self.windows)


def likelihoods_of(
    model: Model, task: WritingTask, windows: Sequence[Encoding], *, progress: Callable[[int], None] | None = None
) -> Iterator[Tensor]:
    """log p [m] of the tokens of the gold answer in each window, in nats."""
    read = partial(task.log_likelihoods, head=model.head)
    for _, likelihoods in logits_of(model, windows, batch_tokens=WRITING_TOKENS, progress=progress, read=read):
        yield likelihoods


def answered(
    model: Model,
    task: Task,
    examples: Sequence[Example],
    *,
    tokenizer: Tokenizer,
    source: AnswerWriter | Collection | None = None,
    batch_tokens: int = 4096,
    progress: Callable[[int], None] | None = None,
) -> Answered:
    """The answers of `model` to `examples`.

    `progress` receives the number of windows, or of written answers, finished since its last call; what it raises ends
    the work. `source` is what answers come from beside the model: the documents of a task that ranks them, or, where
    answers are written and it is known already, the model ready to write.

    Raises:
        DataError: an example is blank, or not what the task reads.
    """
    require_text(examples)
    if isinstance(task, WritingTask):
        writer = source if isinstance(source, AnswerWriter) else task.writer(model, tokenizer)
        written = writer.write(examples, progress=progress)
        return Answered(written, task.encode([replace(example, gold=None) for example in examples], tokenizer), [])
    if isinstance(task, RankingTask):
        collection = source if isinstance(source, Collection) else None
        return _found(model, task, examples, tokenizer=tokenizer, collection=collection, progress=progress)
    if not isinstance(task, LabellingTask):
        raise TypeError(f"{task.kind()} neither labels nor writes nor ranks")
    windows = task.encode(examples, tokenizer)
    logits = [tensor for _, tensor in logits_of(model, windows, batch_tokens=batch_tokens, progress=progress)]
    return Answered(task.decode(examples, windows, logits, head=model.head), windows, logits)


def require_text(examples: Iterable[Example]) -> None:
    """Refuse an example without a visible character.

    Raises:
        DataError: at the line of the first.
    """
    for example in examples:
        if not example.text.strip():
            raise DataError(
                "the text is blank",
                code="TS-BUNDLE-020",
                place=Place(file=example.source.file, line=example.source.line),
                fix="leave the row out.",
            )


def _found(
    model: Model,
    task: RankingTask,
    examples: Sequence[Example],
    *,
    tokenizer: Tokenizer,
    collection: Collection | None,
    progress: Callable[[int], None] | None,
) -> Answered:
    """The nearest documents of each question; the score of an example with a second text, where the task has such."""
    windows = task.encode([replace(example, gold=None) for example in examples], tokenizer)
    vectors = task.vectors(model, windows, progress=progress)
    own: list[list[int]] = [[] for _ in examples]
    for number, window in enumerate(windows):
        own[window.example].append(number)
    said = []
    for example, places in zip(examples, own, strict=True):
        if task.scores_pairs and example.pair is not None:
            said.append(task.score(example, float(vectors[places[0]] @ vectors[places[1]])))
            continue
        if collection is None:
            raise no_collection(example)
        ranked = collection.nearest(vectors[places[:1]], count=task.answers)[0]
        said.append(Prediction.about(example, ranked, truncated=windows[places[0]].truncated))
    return Answered(said, windows, [torch.from_numpy(vector[None]) for vector in vectors])


def no_collection(example: Example) -> DataError:
    """The error for a question where there are no documents to search."""
    return DataError(
        "a single text was given, and this model scores pairs: it has no documents to search",
        code="TS-BUNDLE-041",
        place=Place(file=example.source.file, line=example.source.line),
        fix="give the second text (`pair`) too.",
    )
