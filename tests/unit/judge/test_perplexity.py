"""Perplexity is that of all tokens of the gold answers together, and absent where nobody knows their likelihood."""

import math

from tunesmith.core.prediction import Prediction
from tunesmith.judge.scoring import score

ROWS = [(-6.0, 3), (-1.0, 4), (-20.0, 5)]


def test_perplexity_is_that_of_all_tokens_together() -> None:
    rows = [
        Prediction(id=str(n), text="q", predicted="a b", gold="a b", likelihood=found) for n, found in enumerate(ROWS)
    ]
    found = score(rows, kind="generation").metrics["perplexity"]
    assert math.isclose(found.value, math.exp(27 / 12)) and found.low < found.value < found.high
    assert Prediction.from_record(rows[0].as_record()) == rows[0]


def test_without_likelihoods_there_is_none() -> None:
    rows = [Prediction(id="1", text="q", predicted="a b", gold="a b")]
    assert "perplexity" not in score(rows, kind="generation").metrics
