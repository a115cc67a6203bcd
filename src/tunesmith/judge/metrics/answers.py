"""Answers found in a text: exact match and F1 over words, and where some questions have no answer, both sides apart.

A question without an answer is answered rightly by nothing at all, and by nothing else. A model that always answers,
or never, looks well on one side only; so SQuAD 2.0 reports both.

Reference: Rajpurkar, Jia and Liang 2018, Know What You Don't Know: Unanswerable Questions for SQuAD.
"""

from collections.abc import Sequence

import numpy as np

from tunesmith.judge.metrics.answer_words import exact_match, token_f1
from tunesmith.judge.metrics.counts import Column, Counts, Floats, ratio
from tunesmith.judge.metrics.tokens import Script

BEHIND = {
    "has_answer_f1": "has_answer",
    "has_answer_exact_match": "has_answer",
    "no_answer_accuracy": "no_answer",
}
"""The metrics of one side, and what counts its rows."""


def row(gold: Sequence[str], said: str, script: Script) -> dict[Column, float]:
    """What one answer adds to the sums; empty `gold` says that there is none, empty `said` that none was given."""
    exact, f1 = exact_match(gold or ("",), said, script), token_f1(gold or ("",), said, script)
    sums: dict[Column, float] = {("rows", ""): 1.0, ("exact_match", ""): exact, ("f1", ""): f1}
    if not gold:
        return sums | {("no_answer", ""): 1.0, ("no_answer_accuracy", ""): exact}
    return sums | {("has_answer", ""): 1.0, ("has_answer_exact_match", ""): exact, ("has_answer_f1", ""): f1}


def metrics(counts: Counts) -> dict[str, Floats]:
    """f1 and exact_match; has_answer_f1, has_answer_exact_match and no_answer_accuracy where both sides occur.

    Each is [...]; a side that a replicate did not draw is NaN there.
    """
    rows = counts.total("rows")
    found = {"f1": ratio(counts.total("f1"), rows), "exact_match": ratio(counts.total("exact_match"), rows)}
    if {("no_answer", ""), ("has_answer", "")} <= set(counts.columns):
        for name, side in BEHIND.items():
            total = counts.total(side)
            found[name] = np.where(total > 0, ratio(counts.total(name), total), np.nan)
    return found
