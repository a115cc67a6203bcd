"""What every variant hands over, and the row it becomes.

The rate is that of the fastest epoch but the first, which pays for imports, allocation and kernels that are built on
first use. Memory is the peak at the end of training, before anything is scored.

    share of the limit = tokens/s x FLOPs per token / FLOP/s of a plain matrix product
    FLOPs per token    = 3 x layers x (2 (4 D^2 + 2 D I) + 4 L D)

D is the width, I the inner width, L the mean length of the text that a token stands in; 3 counts forward once and
backward twice. Padding, dropout, norms and the optimizer are not counted: they are what keeps a loop from the limit.
Every token counts through every layer whole, for every variant, also where ours takes to the end of the last layer
only the rows that the head reads.
"""

import json
from dataclasses import dataclass

from benchmarks.machine import Watch, peak_memory_mb
from benchmarks.training.recipe import backbone_folder


@dataclass(frozen=True)
class Spent:
    """Cost of training: seconds of each epoch, wall and processor seconds of all, peak memory."""

    epochs: list[float]
    wall: float
    processor: float
    peak_mb: float


@dataclass(frozen=True)
class Measured:
    """A variant's cost, the token counts of its training rows, the format it computed in, and its answers."""

    spent: Spent
    lengths: list[int]
    precision: str
    answers: list
    whole: bool = True
    """Whether every weight learns: the formula holds for nothing else"""


class Stopwatch:
    """Times a training run: `lap` at the end of each epoch, `spent` at the end."""

    def __init__(self):
        self._watch, self._epochs, self._begin = Watch(), [], 0.0

    def lap(self):
        now = self._watch.wall()
        self._epochs.append(now - self._begin)
        self._begin = now

    def spent(self):
        return Spent(self._epochs, self._watch.wall(), self._watch.processor(), peak_memory_mb())


def as_row(measured, score, rates):
    """The figures of a row. `rates` are two probes of the machine, before and after."""
    spent, tokens = measured.spent, sum(measured.lengths)
    speed = tokens / min(spent.epochs[1:] or spent.epochs)
    limit = 1e9 * max(rate[measured.precision] for rate in rates)
    return {
        "tokens": tokens,
        "tokens_per_second": round(speed, 1),
        "tokens_per_processor_second": round(tokens * len(spent.epochs) / spent.processor, 1),
        "epoch_seconds": [round(seconds, 2) for seconds in spent.epochs],
        "wall_seconds": round(spent.wall, 2),
        "peak_rss_mb": round(spent.peak_mb),
        "precision": measured.precision,
        "share_of_limit": round(speed * flops_per_token(measured.lengths) / limit, 4) if measured.whole else None,
        "score": round(score, 4),
        "gemm_gflops": {name: [rate[name] for rate in rates] for name in rates[0]},
    }


def flops_per_token(lengths):
    """Forward and backward, for the starter and texts of these lengths."""
    config = json.loads((backbone_folder() / "config.json").read_text(encoding="utf-8"))
    width, inner, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    mean = sum(length * length for length in lengths) / sum(lengths)
    return 3 * layers * (2 * (4 * width**2 + 2 * width * inner) + 4 * mean * width)
