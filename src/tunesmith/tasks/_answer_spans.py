"""From the logits of windows to the best answer of each question, or none.

    score(i, j) = S_i + E_j,  i <= j < i + longest      S_i at the first sub-word of unit i, E_j at the last of unit j
    score(none) = min over the windows of S_0 + E_0     0 is the place that stands for "no answer"
    p           = softmax over none and the best answers of all windows
    none        where p(best) / (p(best) + p(none)) < threshold

At a threshold of 1/2 an answer is given where its score is not below that of none; another threshold t moves that line
by log(t / (1 - t)), which is the tau of the paper. Windows that overlap name the same answer; its higher score counts.
Reference: Devlin et al. 2019, BERT, section 4.3.
Shapes: m places of a window, u units it shows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.example import Span
from tunesmith.core.prediction import Prediction, ScoredSpan

BEST = 20
"""Answers of a question that share the probability, as in the reference implementation."""
EVEN = 0.5
"""The threshold where nothing was tuned."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The best answer of a question, units `first` to `last` (inclusive), with its probability and that of none."""

    first: int
    last: int
    answer: float
    none: float

    @property
    def share(self) -> float:
        """p(best) / (p(best) + p(none)), 1 where no answer was never possible."""
        return share_of(self.answer, self.none)


def share_of(answer: float, none: float) -> float:
    """What a threshold is compared with."""
    return answer / (answer + none) if answer + none > 0 else 0.0


def verdict(windows: Sequence[tuple[NDArray[np.int32], Floats]], *, longest: int, may_lack: bool) -> Verdict | None:
    """The best answer in the windows of one question, or None for a text without units.

    Args:
        windows: of each window the units [m] of its places, that of "no answer" first, and its logits [m, 2].
        longest: units of the longest answer that counts.
        may_lack: whether "no answer" is a candidate.
    """
    found: dict[tuple[int, int], float] = {}
    for units, logits in windows:
        for span, score in _candidates(units[1:], logits[1:], longest):
            found[span] = max(score, found.get(span, -np.inf))
    if not found:
        return None
    ranked = sorted(found.items(), key=lambda item: (-item[1], item[0]))[:BEST]
    scores = np.array([score for _, score in ranked])
    none = min(float(logits[0].sum()) for _, logits in windows) if may_lack else -np.inf
    top = max(none, float(scores[0]))
    powers, power = np.exp(scores - top), float(np.exp(none - top))
    total = float(powers.sum()) + power
    (first, last), _ = ranked[0]
    return Verdict(first, last, float(powers[0]) / total, power / total)


def _candidates(units: NDArray[np.int32], logits: Floats, longest: int) -> Iterator[tuple[tuple[int, int], float]]:
    """The best answers of one window."""
    if not len(units):
        return
    new = np.flatnonzero(np.diff(units)) + 1
    starts = logits[np.concatenate([[0], new]), 0]  # [u] at the first sub-word of each unit
    ends = logits[np.concatenate([new - 1, [len(units) - 1]]), 1]  # [u] at the last one
    width = min(longest, len(ends))
    reach = np.concatenate([ends, np.full(width - 1, -np.inf)])
    scores = starts[:, None] + np.lib.stride_tricks.sliding_window_view(reach, width)  # [u, width]
    flat = scores.ravel()
    best = np.argpartition(-flat, BEST)[:BEST] if len(flat) > BEST else np.arange(len(flat))
    for index in best.tolist():
        if np.isfinite(flat[index]):
            first = int(units[0]) + index // width
            yield (first, first + index % width), float(flat[index])


def tuned_threshold(predictions: Sequence[Prediction]) -> float:
    """The threshold at which answers agree best with gold: the mean of how much of each other they and gold cover.

    An answer earns the F1 of the characters that it shares with the nearest reference, no answer earns 1 where there
    is none. A threshold lies half-way between the two shares that it parts; among equals the one nearest to 1/2, which
    is also what predictions without gold give.
    """
    rows = [row for prediction in predictions if (row := _row(prediction)) is not None]
    rows.sort()
    shares = np.array([share for share, _, _ in rows])
    given, withheld = (np.array([row[column] for row in rows]) for column in (1, 2))
    borders = np.concatenate([[0.0], (shares[1:] + shares[:-1]) / 2, [1.0]]) if len(rows) else np.array([EVEN])
    gain = np.concatenate([[0.0], np.cumsum(withheld - given)]) if len(rows) else np.zeros(1)
    possible = np.concatenate([[True], shares[1:] > shares[:-1], [True]]) if len(rows) else np.array([True])
    best = max(
        zip(gain[possible].tolist(), borders[possible].tolist(), strict=True),
        key=lambda item: (round(item[0], 9), -abs(item[1] - EVEN)),
    )
    return float(best[1])


def _row(prediction: Prediction) -> tuple[float, float, float] | None:
    """The share of an answer, what giving it earns, and what withholding it earns."""
    gold, said, other = prediction.gold, prediction.predicted, prediction.instead
    if not isinstance(gold, tuple) or not isinstance(said, tuple) or other is None or prediction.confidence is None:
        return None
    best, none = (prediction.confidence, other.confidence) if said else (other.confidence, prediction.confidence)
    span = other.span() if not said else next(item.span() for item in said if isinstance(item, ScoredSpan))
    wanted = [item for item in gold if isinstance(item, Span)]
    return share_of(best, none), max((_overlap(span, item) for item in wanted), default=0.0), float(not wanted)


def _overlap(one: Span, other: Span) -> float:
    """F1 of the characters that two spans share."""
    shared = min(one.end, other.end) - max(one.start, other.start)
    return 2 * max(shared, 0) / (one.end - one.start + other.end - other.start)
