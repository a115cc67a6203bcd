"""What a re-ranker brings: a search before and after it, on the same questions, documents and arithmetic."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith.bundle.reranking import documents_in
from tunesmith.core.example import Relevant
from tunesmith.core.prediction import Prediction
from tunesmith.judge.paired import PairedTest, paired_tests
from tunesmith.judge.scoring import Scores, score
from tunesmith.judge.truth import METRIC_NAMES, p_in_words, shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Reranked:
    """The search alone beside its re-ranker."""

    before: Scores
    tests: tuple[PairedTest, ...]
    """One for each metric, the main one first; in each the re-ranked answers stand first"""
    candidates: int
    within: float
    """Recall among the candidates: more than that no re-ranker can find"""

    @property
    def sentence(self) -> str:
        """Whether the re-ranker is shown to help, by the main metric, as a report says it of a model."""
        test = self.tests[0]
        name, _ = METRIC_NAMES[test.metric]
        facts = f"{name} {test.second:.3f} by the search alone, {test.first:.3f} re-ranked"
        size = f"difference {test.difference:+.3f} [{test.low:+.3f}, {test.high:+.3f}], {p_in_words(test.p_value)}"
        if shown({"low": test.low, "p_value": test.p_value}):
            return f"Re-ranking helps: {facts}, {size}."
        if shown({"low": -test.high, "p_value": test.p_value}):
            return f"Re-ranking makes it WORSE: {facts}, {size}."
        return f"Re-ranking is NOT shown to help: {facts}, {size}."

    def as_record(self) -> dict[str, Any]:
        """A JSON-ready object."""
        return {
            "sentence": self.sentence,
            "candidates": self.candidates,
            "recall_within_candidates": round(self.within, 6),
            "before": self.before.as_record()["metrics"],
            "tests": [test.as_record() for test in self.tests],
        }


def compared(after: Sequence[Prediction], before: Sequence[Prediction], *, kind: str, candidates: int) -> Reranked:
    """Compare answers to the same questions; those `before` hold all candidates.

    Raises:
        DataError: the rows are not the same, or there are none.
    """
    scores = score(before, kind=kind)
    tests = paired_tests(after, before, kind=kind, metrics=tuple(scores.metrics))
    within = sum(map(_recall, before)) / len(before)
    return Reranked(before=scores, tests=tuple(tests), candidates=candidates, within=within)


def _recall(said: Prediction) -> float:
    """The share of the relevant documents that was found at all."""
    gold = {item.id for item in said.gold if isinstance(item, Relevant)} if isinstance(said.gold, tuple) else set()
    return len(gold & {item.id for item in documents_in(said)}) / len(gold) if gold else 0.0
