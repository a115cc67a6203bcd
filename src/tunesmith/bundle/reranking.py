"""A search in two stages: a pair model reads the first answers of a search with the question and orders them anew.

    first     the K documents d with the greatest cos(v(q), v(d))
    second    r(q, d): the score of the pair, or the probability of the label that says relevant

What the first stage did not find, the second never sees. Documents of equal r keep the order of the first.

When to use it: the right document is usually among the first K and too seldom among the first few.
Cost: one pass of the pair model for each of the K documents, a question.
Reference: Nogueira & Cho 2019, Passage re-ranking with BERT.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tunesmith.bundle.answered import Answered, answered
from tunesmith.bundle.approximate import Search
from tunesmith.bundle.read import Bundle
from tunesmith.core.errors import Place, UsageError
from tunesmith.core.example import Example
from tunesmith.core.prediction import Prediction, Ranked
from tunesmith.core.task import LabellingTask, RankingTask
from tunesmith.tasks.retrieval import ANSWERS

CANDIDATES: Final = 50


@dataclass(frozen=True, slots=True)
class Stages:
    """How a search answers: what finds, and what orders."""

    index: Search = "exact"
    reranker: Path | None = None
    """The bundle of a pair model that orders anew what was found; None leaves the order of the search."""
    candidates: int = CANDIDATES
    """K, how many documents of the first stage it reads."""
    relevant: str | None = None
    """The label whose probability orders, where it is not plain (yes, 1, true, relevant)."""

    @property
    def plain(self) -> bool:
        """Whether nothing is asked for that is of a search alone."""
        return self.index == "exact" and self.reranker is None


PLAIN: Final = Stages()
"""Exact search, and nothing behind it; of a model that searches nothing, its answers"""


@dataclass(frozen=True, slots=True)
class Reranker:
    """A pair model that orders documents."""

    bundle: Bundle
    candidates: int
    relevant: str | None
    """The label whose probability orders; None where pairs have scores."""

    def require_fits(self, searched: Bundle) -> RankingTask:
        """Check that there is something to order, and give back what searches it.

        Raises:
            UsageError: the bundle searches no documents; it answers with more documents than are read.
        """
        task = searched.task
        if not isinstance(task, RankingTask) or not searched.collection:
            raise UsageError(
                f"a model for {task.kind()} without documents finds nothing that could be ordered anew",
                code="TS-BUNDLE-063",
                place=Place(file=str(searched.folder)),
                fix="name a bundle of a search first, and the pair model as its re-ranker.",
            )
        if self.candidates < task.answers:
            raise UsageError(
                f"{task.answers} documents answer a question, and only {self.candidates} would be read again",
                code="TS-BUNDLE-064",
                place=Place(key="candidates"),
                fix=f"read at least {task.answers} again.",
            )
        return task

    def reranked(
        self, examples: Sequence[Example], found: Answered, *, count: int, batch_tokens: int = 4096
    ) -> Answered:
        """What was found, ordered anew, the first `count` of it; windows and logits of the pairs stand behind."""
        owners: list[int] = []
        pairs: list[Example] = []
        for number, (example, said) in enumerate(zip(examples, found.predictions, strict=True)):
            for document in documents_in(said):
                owners.append(number)
                pairs.append(Example(id=example.id, text=example.text, pair=document.text, source=example.source))
        model, task = self.bundle.model, self.bundle.task
        read = answered(model, task, pairs, tokenizer=self.bundle.tokenizer, batch_tokens=batch_tokens)
        scores = iter([self._score(said) for said in read.predictions])
        predictions = []
        for said in found.predictions:
            again = [Ranked(was.id, was.text, next(scores), was.score) for was in documents_in(said)]
            best = sorted(again, key=lambda item: -item.score)[:count]
            predictions.append(replace(said, predicted=tuple(best)))
        windows = [replace(window, example=owners[window.example]) for window in read.windows]
        return Answered(predictions, [*found.windows, *windows], [*found.logits, *read.logits])

    def _score(self, said: Prediction) -> float:
        if self.relevant is not None:
            return said.scores[self.relevant]
        assert isinstance(said.predicted, float), "a pair without labels has a score"
        return said.predicted


def documents_in(said: Prediction) -> list[Ranked]:
    """What a search found."""
    return [item for item in said.predicted if isinstance(item, Ranked)] if isinstance(said.predicted, tuple) else []


def reranker_of(bundle: Bundle, *, candidates: int = CANDIDATES, relevant: str | None = None) -> Reranker:
    """The bundle of a pair model as a re-ranker; arguments as the fields of `Stages`.

    Raises:
        UsageError: it reads no pairs; its labels do not say which of them is relevant, or lack the one that was named.
    """
    task = bundle.task
    if not isinstance(task, LabellingTask) or task.rows != "pair_matching":
        raise UsageError(
            f"a model for {task.kind()} does not say how well two texts belong together",
            code="TS-BUNDLE-060",
            place=Place(file=str(bundle.folder)),
            fix='name a bundle that was trained with task.kind = "pair_matching".',
        )
    return Reranker(bundle, candidates, _relevant(bundle, relevant))


def _relevant(bundle: Bundle, named: str | None) -> str | None:
    labels = bundle.task.label_names
    if named is not None and named not in labels:
        raise UsageError(
            f"the re-ranker has no label {named!r}",
            code="TS-BUNDLE-061",
            place=Place(key="relevant"),
            fix=f"name one of: {', '.join(labels)}." if labels else "leave it out: its pairs have scores.",
        )
    if named is not None or not labels:
        return named
    plain = [label for label in labels if ANSWERS.get(label.strip().lower()) == 1.0]
    if len(plain) != 1:
        raise UsageError(
            f"which label of the re-ranker says that a document answers is not plain: {', '.join(labels)}",
            code="TS-BUNDLE-062",
            place=Place(key="relevant"),
            fix="name it: --relevant LABEL, in Python relevant=...",
        )
    return plain[0]
