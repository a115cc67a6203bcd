"""What the loop reports. Callers log, draw, track and stop by reading these; nothing else leaves the loop."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:  # whoever reads a journal does so without torch
    from tunesmith.models.precision import Choice

Blame = Literal["batch", "weights"]
Outcome = Literal["learnt", "left_out", "rolled_back", "no_state", "too_many"]
DONE = ("finished", "patience")
"""Reasons to stop after which the model is judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The first event: what was decided before the first step."""

    step: int
    """Steps already done: 0, or where a resumed run goes on"""
    steps: int | None
    """Steps of the whole run; None where its length is a time"""
    steps_per_epoch: int
    precision: "Choice"
    device: str
    threads: int
    learning_rate: float
    """Peak rate"""
    trainable: int
    """Numbers that learn"""
    frozen: int
    """Numbers that do not"""
    vocabulary: tuple[int, int] | None
    """Embedding rows that take part because they occur in the data, of how many; None where all of them do"""
    attention: str = ""
    """How attention runs: which kernel, and whether it pads"""
    notes: tuple[str, ...] = ()
    """What a person should know: damaged states that were passed over, a machine that differs from the saved one's"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stepped:
    """One update was made."""

    step: int
    """Updates so far"""
    epoch: float
    """Epochs so far, with a fraction"""
    done: float
    """Share of the run, in (0, 1]"""
    loss: float
    """The task's loss per counted place"""
    terms: Mapping[str, float]
    """Each regularizer's weighted term per counted item, by kind"""
    learning_rate: float
    gradient_norm: float
    """Before clipping"""
    tokens: int
    """Real tokens of this step"""
    seconds: float
    """Time this step took"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Halved:
    """Memory ran out before an update was made: from here on a batch goes through the model in smaller pieces.

    The gradient stays that of the whole batch.
    """

    step: int
    """Updates so far"""
    pieces: int
    """Pieces of every batch from here on"""
    windows: int
    """Windows of the largest piece"""
    onednn: bool = True
    """Whether oneDNN still computes; where memory is short, torch's own kernels take its place"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spiked:
    """The loss of a batch lies far above what was usual, seen before anything learnt from it."""

    step: int
    """The update that would have learnt from the batch; where the run went back, the step it went back to"""
    loss: float
    usual: float
    """Mean of the last losses"""
    examples: tuple[str, ...]
    """Of the batch that caused it: this one or, where the weights are to blame, the one learnt before"""
    blame: Blame
    """The weights are to blame where the batch learnt before has become as bad: that update broke them"""
    outcome: Outcome
    """What became of it: reported only; the batch is passed over; the run went back to a saved state from before it. Or
    it was to be undone and was not: no whole state from before it is saved, or too many batches are left out already"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """The model was scored."""

    step: int
    epoch: float
    score: float
    best: bool
    """Whether no earlier score was better or equal"""
    best_score: float
    best_step: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """A state to resume from is durable."""

    step: int
    folder: Path
    bytes: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """The last event. `reason` is "finished", "patience", or what `should_stop` answered."""

    step: int
    epoch: float
    reason: str
    best_score: float | None
    best_step: int | None
    """The step whose weights the model now carries; None where it carries the last ones"""
    tokens: int
    seconds: float
    """Time in steps, over all sessions of the run"""


TuneEvent = Started | Stepped | Halved | Spiked | Evaluated | Saved | Stopped
