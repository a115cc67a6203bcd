"""Encode, run and decode: the one road to an answer, for a bundle and for a model that is still being trained."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor

from tunesmith.core.batch import Encoding
from tunesmith.core.errors import DataError, Place
from tunesmith.core.example import Example
from tunesmith.core.model import Model
from tunesmith.core.prediction import Prediction
from tunesmith.core.task import AnswerWriter, LabellingTask, Task, WritingTask
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.models.inference import WRITING_TOKENS, logits_of


@dataclass(frozen=True, slots=True)
class Answered:
    """Predictions [n] with what led to them: `windows` of all examples and the fp32 logits [m, C] of each window.

    Of answers that were written the windows hold what was asked, and there are no logits.
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
    batch_tokens: int = 4096,
    progress: Callable[[int], None] | None = None,
    writer: AnswerWriter | None = None,
) -> Answered:
    """The answers of `model` to `examples`.

    `progress` receives the number of windows, or of written answers, finished since its last call; what it raises ends
    the work. `writer` is the model ready to write, where answers are written and it is known already.

    Raises:
        DataError: an example is blank, or not what the task reads.
    """
    for example in examples:
        if not example.text.strip():
            raise DataError(
                "the text is blank",
                code="TS-BUNDLE-020",
                place=Place(file=example.source.file, line=example.source.line),
                fix="leave the row out.",
            )
    if isinstance(task, WritingTask):
        written = (writer or task.writer(model, tokenizer)).write(examples, progress=progress)
        return Answered(written, task.encode([replace(example, gold=None) for example in examples], tokenizer), [])
    if not isinstance(task, LabellingTask):
        raise TypeError(f"{task.kind()} neither labels nor writes")
    windows = task.encode(examples, tokenizer)
    logits = [tensor for _, tensor in logits_of(model, windows, batch_tokens=batch_tokens, progress=progress)]
    return Answered(task.decode(examples, windows, logits, head=model.head), windows, logits)
