"""How far a run has come, as numbers that JSON can hold, and when evaluations fall due."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from tunesmith.core.duration import Duration

_ROUNDING = 1e-9


@dataclass(slots=True)
class Progress:
    """Where the run stands between two steps. Everything the next step depends on beside the optimizer is here."""

    step: int = 0
    epoch: int = 0
    """Whole epochs done"""
    group: int = 0
    """Accumulation groups of the running epoch that are done"""
    groups: int = 1
    """Accumulation groups of the running epoch"""
    pieces: int = 1
    """Pieces in which a batch goes through the model; more than 1 after memory ran out"""
    losses: list[float] = field(default_factory=list)
    """Of the last updates, for what is usual"""
    left_out: list[list[int]] = field(default_factory=list)
    """[epoch, group] that nothing is learnt from, since the loss spiked there"""
    seconds: float = 0.0
    """Time in steps, over all sessions"""
    tokens: int = 0
    best_score: float | None = None
    best_step: int | None = None
    worse: int = 0
    """Evaluations since the best one"""
    evaluated_step: int = 0
    evaluated_epochs: float = 0.0
    unseen_decay: float = 1.0
    """What decay has left of an embedding row that no text contains"""
    best_unseen_decay: float = 1.0

    @property
    def epochs(self) -> float:
        """Epochs done, with the fraction of the running one."""
        return self.epoch + self.group / self.groups

    @property
    def passed_over(self) -> bool:
        """Whether nothing is learnt from the group that comes next."""
        return [self.epoch, self.group] in self.left_out

    def share(self, length: Duration) -> float:
        """Share of the run that is done."""
        return self._in(length) / length.amount if length.amount else 1.0

    def step_share(self, length: Duration) -> float:
        """Share of the run that the next step takes; for a run measured in time, what a step took so far."""
        match length.unit:
            case "steps":
                return 1 / length.amount
            case "epochs":
                return 1 / (self.groups * length.amount)
            case "seconds":
                return (self.seconds / self.step if self.step else 1.0) / length.amount

    def finished(self, length: Duration) -> bool:
        """Whether the run is complete."""
        return self._in(length) >= length.amount - _ROUNDING

    def evaluation_due(self, every: Duration) -> bool:
        """Whether a multiple of `every` (steps or epochs) lies between the last evaluation and now."""
        if every.unit == "steps":
            return _multiples(self.step, every.amount) > _multiples(self.evaluated_step, every.amount)
        return _multiples(self.epochs, every.amount) > _multiples(self.evaluated_epochs, every.amount)

    def note_score(self, score: float, best: Literal["highest", "lowest"]) -> bool:
        """Record an evaluation; True where it is better than every earlier one (nan is worse than any number)."""
        self.evaluated_step, self.evaluated_epochs = self.step, self.epochs
        signed = score if best == "highest" else -score
        record = self.best_score
        better = record is None or record != record or signed > (record if best == "highest" else -record)
        if better:
            self.best_score, self.best_step, self.worse = score, self.step, 0
            self.best_unseen_decay = self.unseen_decay
        else:
            self.worse += 1
        return better

    def as_record(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Progress":
        """What `as_record` gave."""
        return cls(**record)

    def _in(self, length: Duration) -> float:
        match length.unit:
            case "steps":
                return self.step
            case "epochs":
                return self.epochs
            case "seconds":
                return self.seconds


def _multiples(position: float, every: float) -> int:
    return int(position / every + _ROUNDING)
