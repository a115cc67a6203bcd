"""The contract of a task: everything that knows what a label means.

Laws, met by every kind (tests/laws): `decode` of perfect scores gives back the gold of every example whose labels
survive encoding; the loss of a batch is the sum of the losses of its windows, whatever their company and order. A task
that `compares_windows` is free of the second one as far as company goes: there the order alone must not matter.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import kl_div, log_softmax

from tunesmith.core.batch import Batch, Encoding
from tunesmith.core.component import Component
from tunesmith.core.example import Example
from tunesmith.core.format import READ_AS
from tunesmith.core.model import Backbone, Model, Output
from tunesmith.core.prediction import Prediction
from tunesmith.core.tokenizer import Tokenizer


class Task(Component):
    """What a label means, from file to loss to answer. Shapes: M places, C classes."""

    @property
    def compares_windows(self) -> bool:
        """Whether the loss looks at several windows of a batch at once.

        Then all windows of an example stand in one batch, and `train.batch_size` counts examples. Where it looks at
        those of other examples, `train.accumulate` adds up batches without widening the comparison.
        """
        return False

    @abstractmethod
    def bound(self, examples: Iterable[Example]) -> "Task":
        """The same task with everything filled in that it reads from the training examples (labels, scheme, weights).

        Raises:
            DataError: the examples do not fit the task, or carry labels that a given label list lacks.
        """

    @property
    def rows(self) -> str:
        """What its rows are read as (`core.format.TaskKind`): its own kind, or one whose rows serve it too."""
        return READ_AS.get(self.kind(), self.kind())

    @property
    def answers_untrained(self) -> bool:
        """Whether its head knows something before the first step, so that a run may do without any."""
        return False

    def asked(self, example: Example) -> Example:
        """The example with its gold in the form of this task's answers, whatever form its file gave it."""
        return example

    def fitted(self, backbone: Backbone, tokenizer: Tokenizer, *, examples: Sequence[Example]) -> "Task":
        """The same bound task with what it reads from the pretrained model, before the first step; most read nothing.

        `examples` are the training rows; what is read off the model must not look at their gold.

        Raises:
            ConfigError: the backbone does not do what the task asks of it.
        """
        return self

    @abstractmethod
    def encode(self, examples: Sequence[Example], tokenizer: Tokenizer) -> list[Encoding]:
        """Windows of each example in order; a text longer than the tokenizer's window gives several that overlap."""

    @abstractmethod
    def head(self, backbone: Backbone) -> nn.Module:
        """A fresh head: hidden states [M, D] to logits [M, C], with parameters named as transformers names them."""

    def begin(self, head: nn.Module, backbone: Backbone, *, tokenizer: Tokenizer, examples: Sequence[Example]) -> None:
        """Put into a fresh head what can be known before the first step, from the training examples or without any.

        Most heads begin at random and know nothing.
        """
        return None

    def count(self, batch: Batch) -> float:
        """What the summed loss of a batch is divided by: the weight of its places."""
        return float(batch.weight.sum())

    def scores(self, output: Output, batch: Batch) -> Tensor:
        """Logits [M, C] that regularizers may compare."""
        return output.logits

    def divergence(self, first: Tensor, second: Tensor) -> Tensor:
        """KL(first || second) at each place, [M], of the answers that two sets of `scores` [M, C] describe.

        The default reads scores as logits of exclusive classes; a task with other answers says so here. R-Drop,
        distillation and whatever else compares answers goes through this.
        """
        at_least = torch.promote_types(first.dtype, torch.float32)
        p, q = log_softmax(first, -1, dtype=at_least), log_softmax(second, -1, dtype=at_least)
        return kl_div(q, p, reduction="none", log_target=True).sum(-1)

    @abstractmethod
    def excess(self, scores: Tensor, batch: Batch) -> Tensor:
        """CE(uniform) - CE(y) at each place, [M], from `scores` [M, C]: what label smoothing adds to a loss.

        Raises:
            ConfigError: the task has nothing to be uniform over.
        """

    @abstractmethod
    def loss(self, output: Output, batch: Batch, *, head: nn.Module) -> Tensor:
        """The SUM over the places, weighted, in fp32. Only the loop divides.

        Label smoothing is no argument here: it is a regularizer (`tune/regularizers/label_smoothing.py`).
        """

    @property
    @abstractmethod
    def main_metric(self) -> str:
        """The metric that leads a report, higher is better (`span_f1`, `accuracy`, `micro_f1`, ...)."""

    @property
    def dev_metric(self) -> str:
        """What selects the best checkpoint, higher is better."""
        return self.main_metric

    @property
    @abstractmethod
    def label_names(self) -> tuple[str, ...]:
        """The C class names in logit order; empty for a score, and for answers that are written."""


class LabellingTask(Task):
    """A task whose answers are read off the logits of one pass."""

    @abstractmethod
    def decode(
        self,
        examples: Sequence[Example],
        encodings: Sequence[Encoding],
        logits: Sequence[Tensor],
        *,
        head: nn.Module,
    ) -> list[Prediction]:
        """One prediction per example, in order.

        `encodings` are all windows of `examples` (`Encoding.example` indexes into them), `logits` the [m, C] fp32 CPU
        tensor of each window. Where windows overlap, the one with more context answers.
        """

    def tuned(self, predictions: Sequence[Prediction]) -> "LabellingTask":
        """The same task with what it reads from dev predictions after training (thresholds); most read nothing."""
        return self

    def remarks(self, model: Model, examples: Sequence[Example], *, tokenizer: Tokenizer) -> tuple[str, ...]:
        """What else is worth telling of the answers to dev rows, one sentence each; most have nothing to tell."""
        return ()


class WritingTask(Task):
    """A task whose answers are written token by token. Its encodings of examples with gold are what is learnt."""

    @property
    def dev_metric(self) -> str:
        """log p of a token of the gold answers: to write them all between two steps would take too long."""
        return "log_likelihood"

    @abstractmethod
    def log_likelihoods(self, output: Output, batch: Batch, *, head: nn.Module) -> Tensor:
        """[M] fp32, log p of the token of the gold answer that comes next at each place, in nats."""

    @abstractmethod
    def writer(self, model: Model, tokenizer: Tokenizer, *, dtype: torch.dtype = torch.float32) -> "AnswerWriter":
        """The model made ready to write. It may keep weights in a form of its own: after a change, make another.

        `dtype` is what it computes in.
        """


class AnswerWriter(ABC):
    """A model that is ready to write answers. Not for two threads at once."""

    @abstractmethod
    def write(self, examples: Sequence[Example], *, progress: Callable[[int], None] | None = None) -> list[Prediction]:
        """An answer for each example, in order, the same alone and in company.

        `progress` receives how many answers were finished since its last call; what it raises ends the work.

        Raises:
            DataError: an example that the model cannot be asked.
        """

    @abstractmethod
    def stream(self, example: Example) -> Iterator[str]:
        """The answer to one example in pieces, as they come; together they are what `write` gives."""


class RankingTask(Task):
    """A task whose answers are documents of a collection, the nearest to the question first.

    Question and document are read apart, so documents are read once and kept as vectors. `encode` gives an example that
    has no `pair` one window, its question.
    """

    @property
    @abstractmethod
    def scores_pairs(self) -> bool:
        """Whether rows say how alike two texts are: such a task is judged by its scores of pairs, not by its ranks."""

    @property
    @abstractmethod
    def answers(self) -> int:
        """How many documents answer a question."""

    @abstractmethod
    def giving(self, count: int) -> "RankingTask":
        """The same task with so many answers."""

    @abstractmethod
    def judged(self) -> "RankingTask":
        """The same task with as many answers as its metrics look at, where it gives fewer."""

    @abstractmethod
    def grade(self, example: Example) -> float:
        """How well the document of a row answers its question, at least 0, which is not at all.

        Raises:
            DataError: at its line, where its gold says nothing of the kind.
        """

    @abstractmethod
    def documents(self, texts: Sequence[str], tokenizer: Tokenizer) -> list[Encoding]:
        """One window for each text of a collection."""

    @abstractmethod
    def vectors(
        self, model: Model, windows: Sequence[Encoding], *, progress: Callable[[int], None] | None = None
    ) -> NDArray[np.float32]:
        """[n, D], the rows of length 1, one for each of the n windows, in order; their products are cosines."""

    @abstractmethod
    def score(self, example: Example, cosine: float) -> Prediction:
        """What the cosine of the two texts of an example says, where the task `scores_pairs`."""
