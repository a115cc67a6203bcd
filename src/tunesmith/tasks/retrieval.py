"""A question and the documents that answer it: both are read apart, and the nearest document answers.

    v(x) = pool(h(x)) / |pool(h(x))|,   s(q, d) = cos(v(q), v(d))
    contrastive   loss = -log( exp(s(q, d) / T) / sum over documents d' of the batch of exp(s(q, d') / T) )
    cosine        loss = (s(q, d) - (score - low) / (high - low))^2

In the contrastive loss the documents of the other rows are the wrong answers, and so are hard negatives: rows that say
that a document does not answer, and `mined` ones, the nearest wrong documents as the backbone sees them before it
learns. Larger batches hold more wrong answers and teach more; `train.accumulate` does not widen them.

When to use it: search in many texts (help articles, questions asked before, items): documents are read once, and a
question costs one pass. `objective = "cosine"` learns scores of pairs so that they can be computed without reading each
pair. For a few candidates `pair_matching` is more exact, since it reads question and document together.
Cost: one pass a text; in training one for each text of a batch.
Relations: `pair_matching` can re-rank what this task finds.
Reference: Reimers & Gurevych 2019, Sentence-BERT (two towers that share their weights, both objectives); Henderson et
al. 2017, section 4.4, and van den Oord et al. 2018 (the contrastive loss); Karpukhin et al. 2020, Dense passage
retrieval (hard negatives). Symmetric: Radford et al. 2021, CLIP, figure 3.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor, nn

from tunesmith.core.batch import Batch, Encoding
from tunesmith.core.errors import ConfigError, DataError, Place
from tunesmith.core.example import Example
from tunesmith.core.model import Backbone, Model, Output
from tunesmith.core.prediction import Prediction
from tunesmith.core.task import RankingTask
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.models.sentence_vectors import first_places, pooled, sentence_vectors
from tunesmith.tasks._contrast import Comparison, Marks, Role, compared, contrastive_losses
from tunesmith.tasks._labels import unusable
from tunesmith.tasks._learnt_rows import learnt_rows
from tunesmith.tasks._pairs import paired
from tunesmith.tasks._scores import range_of, score_of
from tunesmith.tasks._vector_windows import Pooling, marked, vector_windows

ANSWERS = {"1": 1.0, "yes": 1.0, "true": 1.0, "relevant": 1.0, "0": 0.0, "no": 0.0, "false": 0.0, "irrelevant": 0.0}
"""What a label says of the document of its row"""
JUDGED = 10
"""Documents that metrics look at"""


class Retrieval(RankingTask):
    """Finds the documents that answer a question."""

    objective: Literal["contrastive", "cosine"] = "contrastive"
    """What is learnt: to find the document of a row among others, or how alike the two texts of a row are (a score)."""
    pooling: Pooling | None = None
    """The vector of a text: mean of its tokens, its first ("cls") or its last; mean, or last for a causal backbone."""
    temperature: float = Field(default=0.05, gt=0.0)
    """What cosines are divided by in the contrastive loss: lower is stricter with the nearest wrong documents."""
    symmetric: bool = False
    """Whether a document must find its question too."""
    mined: int = Field(default=0, ge=0, le=32)
    """Hard negatives found for each training row before training: the nearest wrong documents."""
    relevant_above: float = 0.0
    """The score above which a document answers; a row at or below it gives a hard negative."""
    score_range: list[float] | None = Field(default=None, min_length=2, max_length=2)
    """For `cosine`: the least and the greatest score, read from the training rows where absent."""
    query_prefix: str = ""
    """What the backbone was pretrained to see before a question, such as "query: "."""
    document_prefix: str = ""
    """The same before a document, such as "passage: "."""
    top: int = Field(default=10, ge=1, le=1000)
    """How many documents answer a question."""
    max_length: int | None = Field(default=None, ge=8)
    """Tokens of a window with special tokens; the backbone's own limit where it is smaller or nothing is given."""

    @model_validator(mode="after")
    def _options_fit(self) -> Self:
        if self.score_range is not None and not self.score_range[0] < self.score_range[1]:
            raise ValueError("score_range must be [low, high] with low below high")
        if self.objective == "cosine" and (self.mined or self.symmetric):
            raise ValueError("mined and symmetric belong to the contrastive objective")
        return self

    @property
    def compares_windows(self) -> bool:
        """A question with its document, and in the contrastive loss with those of other rows, its wrong answers."""
        return True

    @property
    def scores_pairs(self) -> bool:
        """Where the objective is cosine."""
        return self.objective == "cosine"

    @property
    def answers(self) -> int:
        """`top`."""
        return self.top

    def giving(self, count: int) -> "Retrieval":
        """With another `top`."""
        return self.model_copy(update={"top": count})

    def judged(self) -> "Retrieval":
        """With at least ten documents: metrics look at so many, whatever a user wants to see."""
        return self.giving(max(self.top, JUDGED))

    def bound(self, examples: Iterable[Example]) -> "Retrieval":
        """The range of the scores for `cosine`; otherwise the rows are only checked.

        Raises:
            DataError: at the line of a row without a second text or with gold that says nothing about it; no row whose
                document answers.
        """
        rows = [paired(example) for example in examples]
        if self.scores_pairs:
            if all(example.gold is None for example in rows):
                raise DataError("no training row carries gold", code="TS-TASK-024", fix="give rows a score.")
            return self.model_copy(update={"score_range": range_of(rows, given=self.score_range)})
        if not any([self.grade(example) > 0 for example in rows]):  # a list: every row is looked at
            raise DataError(
                "no row has a document that answers its question",
                code="TS-TASK-060",
                place=Place(key="task.relevant_above"),
                fix="give rows whose texts belong together, or lower it.",
            )
        return self

    def grade(self, example: Example) -> float:
        """1 for a row without gold or with a label such as yes, 0 for no; its score where that is above the limit."""
        gold = example.gold
        if gold is None:
            return 1.0
        if isinstance(gold, str) and gold.strip().lower() in ANSWERS:
            return ANSWERS[gold.strip().lower()]
        if isinstance(gold, float | int):
            score = score_of(example)
            return score if score > max(self.relevant_above, 0.0) else 0.0
        raise unusable(
            example,
            f"the gold {str(gold)[:40]!r} does not say whether the document answers",
            code="TS-TASK-061",
            fix=f'write one of {", ".join(ANSWERS)}, or a score; or leave the column out (label = "").',
        )

    def encode(self, examples: Sequence[Example], tokenizer: Tokenizer) -> list[Encoding]:
        """The windows of each example: its question; its document, where it has one; its hard negatives.

        A row whose document does not answer gives its document to the first row of the same question that has an
        answer, as a hard negative, and has no windows itself.
        """
        if self.scores_pairs:
            return self._scored(examples, tokenizer)
        rows = learnt_rows(examples, self.grade)
        asked = self._windows([example.text for example in examples], tokenizer, self.query_prefix)
        texts = sorted({text for row in rows for text in row.documents})
        read = dict(zip(texts, self.documents(texts, tokenizer), strict=True))
        number = {text: index for index, text in enumerate(texts)}
        questions = {text: index for index, text in enumerate(sorted({example.text for example in examples}))}
        encodings = []
        for row in rows:
            example, question = examples[row.example], asked[row.example]
            if not row.documents:
                encodings.append(replace(question, weight=example.weight))
                continue
            marks = (row.example, Role.QUESTION, questions[example.text])
            encodings.append(marked(question, row.example, marks, weight=example.weight))
            for place, text in enumerate(row.documents):
                marks = (row.example, Role.NEGATIVE if place else Role.ANSWER, number[text])
                encodings.append(marked(read[text], row.example, marks, weight=0.0))
        return encodings

    def documents(self, texts: Sequence[str], tokenizer: Tokenizer) -> list[Encoding]:
        """One window for each text, its beginning where it is too long."""
        return self._windows(texts, tokenizer, self.document_prefix)

    def vectors(
        self, model: Model, windows: Sequence[Encoding], *, progress: Callable[[int], None] | None = None
    ) -> NDArray[np.float32]:
        """[n, D], the rows of length 1: the mean of the hidden states at the places of each window."""
        return sentence_vectors(model.backbone, windows, progress=progress)

    def score(self, example: Example, cosine: float) -> Prediction:
        """The cosine on the scale of the scores."""
        low, high = self.score_range or (0.0, 1.0)
        return Prediction.about(example, low + float(cosine) * (high - low))

    def head(self, backbone: Backbone) -> nn.Module:
        """No layer: the hidden states [M, D] are the answer.

        Raises:
            ConfigError: the first token is to stand for the text, and the backbone is causal.
        """
        if self.pooling == "cls" and backbone.causal:
            raise ConfigError(
                "the first token of a causal backbone has seen nothing of the text",
                code="TS-TASK-062",
                place=Place(key="task.pooling"),
                fix='set "last" or "mean".',
            )
        return nn.Identity()

    def count(self, batch: Batch) -> float:
        """The weight of the rows."""
        return float(batch.weight[first_places(batch)].sum())

    def scores(self, output: Output, batch: Batch) -> Tensor:
        """[M, P] similarities to the P documents of the batch, at the first place of each question and 0 elsewhere.

        For `cosine` [M, 1], the cosine of a pair at the first place of both its windows. So two sets of scores differ
        at these places alone, and what is compared has the weight of the rows.
        """
        first = first_places(batch)
        if self.scores_pairs:
            one, other, cosines = self._cosines(output, batch)
            places, values = first[torch.cat((one, other))], torch.cat((cosines, cosines))[:, None]
        else:
            values = self._compared(output, batch).similarity
            places = first[self._marks(batch).role == Role.QUESTION]
        return values.new_zeros(len(batch.places), values.shape[1]).index_copy(0, places, values)

    def divergence(self, first: Tensor, second: Tensor) -> Tensor:
        """KL of the shares that a question gives the documents; of cosines, of two normals of variance 1; [M]."""
        return (first - second).square().sum(-1) / 2 if self.scores_pairs else super().divergence(first, second)

    def excess(self, scores: Tensor, batch: Batch) -> Tensor:
        """Nothing.

        Raises:
            ConfigError: TS-TUNE-041 documents are no classes, and cosines are no shares.
        """
        raise ConfigError(
            "a search has no classes to smooth over",
            code="TS-TUNE-041",
            place=Place(key="regularizers"),
            fix='leave out kind = "label_smoothing".',
        )

    def loss(self, output: Output, batch: Batch, *, head: nn.Module) -> Tensor:
        """The weighted sum over the questions, or over the scored pairs."""
        first = first_places(batch)
        weight = batch.weight[first]
        if not self.scores_pairs:
            losses = contrastive_losses(self._compared(output, batch), symmetric=self.symmetric)
            return (weight[self._marks(batch).role == Role.QUESTION] * losses).sum()
        assert batch.targets is not None, "a loss needs gold"
        one, other, cosines = self._cosines(output, batch)
        errors = cosines - batch.targets[first][one, 1]
        return ((weight[one] + weight[other]) * errors.square()).sum()

    @property
    def main_metric(self) -> str:
        """The gain of the first ten documents, discounted by rank; Spearman's correlation for scored pairs."""
        return "spearman" if self.scores_pairs else "ndcg_at_10"

    @property
    def label_names(self) -> tuple[str, ...]:
        """None."""
        return ()

    def _windows(self, texts: Sequence[str], tokenizer: Tokenizer, prefix: str) -> list[Encoding]:
        begun = [prefix + text for text in texts]
        return vector_windows(begun, tokenizer, pooling=self.pooling, max_length=self.max_length)

    def _scored(self, examples: Sequence[Example], tokenizer: Tokenizer) -> list[Encoding]:
        """Both texts of each row, half the weight on each."""
        low, high = self.score_range or (0.0, 1.0)
        first = self._windows([example.text for example in examples], tokenizer, self.query_prefix)
        second = self.documents([example.pair or "" for example in examples], tokenizer)
        encodings = []
        for number, example in enumerate(examples):
            sides = [first[number]] if example.pair is None else [first[number], second[number]]
            for side in sides:
                one = replace(side, example=number, weight=example.weight / len(sides))
                if example.gold is not None and example.pair is not None:
                    row = np.array([[number, (score_of(example) - low) / (high - low)]], np.float32)
                    one = replace(one, targets=np.repeat(row, len(one.places), 0))
                encodings.append(one)
        return encodings

    def _compared(self, output: Output, batch: Batch) -> Comparison:
        vectors = pooled(output.logits, batch.place_counts)
        return compared(vectors, self._marks(batch), temperature=self.temperature)

    def _marks(self, batch: Batch) -> Marks:
        assert batch.targets is not None, "a loss needs documents"
        return Marks(*batch.targets[first_places(batch)].unbind(-1))

    def _cosines(self, output: Output, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """[P] the windows of the two texts of each pair, which stand in the batch in whatever order, and the cosine."""
        assert batch.targets is not None, "a loss needs gold"
        vectors = pooled(output.logits, batch.place_counts)
        row = batch.targets[first_places(batch), 0]
        order = torch.argsort(row, stable=True)
        twins = row[order][1:] == row[order][:-1]
        one, other = order[:-1][twins], order[1:][twins]
        return one, other, (vectors[one] * vectors[other]).sum(-1)
