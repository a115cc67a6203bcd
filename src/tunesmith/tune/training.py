"""One run between two steps: the model in training form, its optimizer, its progress, and what it can do."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tunesmith.core.batch import Batch
from tunesmith.core.duration import Duration
from tunesmith.core.errors import ConfigError, Place
from tunesmith.core.model import Model
from tunesmith.models.precision import Choice
from tunesmith.tune.data import TrainingData, epoch_groups
from tunesmith.tune.events import Evaluated, Halved, Started, Stepped
from tunesmith.tune.form import TrainingForm
from tunesmith.tune.freed import FreedMemory
from tunesmith.tune.gradient import GroupLoss, Objective, backward, gradient_error, loss_as_learnt
from tunesmith.tune.guidance import Guidance
from tunesmith.tune.onednn import OneDNN
from tunesmith.tune.optimizers import AdamW, clip_factor, groups_of
from tunesmith.tune.pieces import cut, doubled
from tunesmith.tune.progress import Progress
from tunesmith.tune.recall import recall_of
from tunesmith.tune.schedules import rate_factor
from tunesmith.tune.settings import TrainSettings
from tunesmith.tune.spikes import WINDOW


@dataclass(frozen=True, slots=True)
class Group:
    """The batches of one update, as window indices, and where they stand in the order of the data."""

    epoch: int
    number: int
    """From 0 in the epoch"""
    batches: list[tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Found:
    """The gradient of a group, as numbers; the tensors wait in the optimizer."""

    loss: GroupLoss
    norm: float
    seconds: float


ROUND_TOKENS = 32
"""bf16 on a processor: token counts are rounded up to a multiple of this, small ones to one of a quarter of it"""


class Training:
    """Steps and evaluates. It neither loops, nor saves, nor decides when."""

    def __init__(
        self, objective: Objective, data: TrainingData, *, settings: TrainSettings, choice: Choice, device: torch.device
    ) -> None:
        if settings.learning_rate is None:
            raise ConfigError(
                "no learning rate is set",
                code="TS-TUNE-002",
                place=Place(key="train.learning_rate"),
                fix="give one, or fill in the method's default.",
            )
        if not data.encodings:
            raise ConfigError(
                "there is nothing to learn from",
                code="TS-TUNE-005",
                place=Place(key="data.train"),
                fix="name a file that holds rows.",
            )
        self.objective = objective
        self.data = data
        self.settings = settings
        self.choice = choice
        self.device = device
        epochs = f"{settings.epochs_for(data.parts)} epochs"
        self.length = Duration.parse(settings.length or epochs, key="train.length", zero=True)
        self.progress = Progress()
        self.onednn = OneDNN()
        self.form = TrainingForm(
            objective.model, precision=choice.precision, device=device, vocabulary=data.vocabulary()
        )
        objective.model.backbone.gradient_checkpointing = settings.gradient_checkpointing
        groups = groups_of(self.form.parameters, decay=settings.weight_decay, layer_decay=settings.layer_decay)
        self.optimizer = AdamW(self.form.parameters, self.form.masters, groups=groups)
        self.guidance = Guidance(objective.guide, self.form, self.optimizer)
        self._words_decay = sum(g.decay * g.rate for g in groups if self.form.words in g.names)
        self._left: float | None = None
        self._multiple = ROUND_TOKENS if choice.precision == "bf16" and device.type == "cpu" else 1
        self.recall = recall_of(objective.model, data, device)
        self._planned = -1
        self._groups: list[list[tuple[int, ...]]] = []
        self.plan()
        self.freed = FreedMemory()  # last: whoever fails above must not leave the allocator changed

    def plan(self) -> None:
        """Look up the order of the running epoch."""
        if self._planned != self.progress.epoch:
            self._groups = epoch_groups(self.data, self.settings, self.progress.epoch)
            self._planned = self.progress.epoch
            self.progress.groups = len(self._groups)

    def started(self, notes: tuple[str, ...] = ()) -> Started:
        """What was decided before the first step."""
        learning = sum(parameter.numel() for parameter in self.form.parameters.values())
        everything = sum(parameter.numel() for parameter in self.objective.model.parameters())
        dtype = torch.bfloat16 if self.choice.precision == "bf16" else torch.float32
        steps = {"steps": self.length.amount, "epochs": math.ceil(self.length.amount * len(self._groups))}
        return Started(
            step=self.progress.step,
            steps=int(steps[self.length.unit]) if self.length.unit in steps else None,
            steps_per_epoch=len(self._groups),
            precision=self.choice,
            device=str(self.device),
            threads=torch.get_num_threads(),
            learning_rate=self.settings.learning_rate or 0.0,
            trainable=learning,
            frozen=everything - learning,
            vocabulary=self.form.vocabulary,
            attention=self.objective.model.backbone.attention_on(self.device, dtype),
            notes=(*self.guidance.notes, *notes),
        )

    def step(self, *, rate: float | None = None) -> Stepped:
        """One update from the next accumulation group, at the rate of the schedule unless another is given.

        Raises:
            NumericsError: loss or gradient are not finite. Weights, moments and progress are as they were.
        """
        return self.update(self.gradient(), rate=rate)

    def gradient(self) -> Found:
        """The gradient of the next accumulation group, collected in the optimizer. Nothing has learnt from it.

        Raises:
            NumericsError: loss or gradient are not finite.
        """
        begin = time.perf_counter()
        self.guidance.wake(self.progress.epoch)
        self.objective.model.train()
        batches = self.batches(self._groups[self.progress.group])
        self.optimizer.discard()
        collect = self.optimizer.collect
        found = backward(self.objective, batches, seed=self.data.seed, step=self.progress.step, collect=collect)
        self.guidance.pull()
        norm = self.optimizer.gradient_norm()
        if not math.isfinite(norm):
            raise gradient_error(batches, self.progress.step, self.optimizer.faulty())
        return Found(loss=found, norm=norm, seconds=time.perf_counter() - begin)

    def update(self, found: Found, *, rate: float | None = None) -> Stepped:
        """Learn from the gradient that `gradient` collected."""
        begin = time.perf_counter()
        progress = self.progress
        tokens = sum(self.data.tokens(indices) for indices in self._groups[progress.group])
        rate = self.rate() if rate is None else rate
        taken = self.optimizer.step(rate, shrink=clip_factor(found.norm, self.settings.clip))
        self.guidance.look(taken, done=progress.share(self.length))
        del taken  # memory that what follows may need
        progress.unseen_decay *= 1 - rate * self._words_decay
        progress.losses = [*progress.losses, found.loss.loss][-WINDOW:]
        seconds = found.seconds + time.perf_counter() - begin
        progress.step += 1
        progress.tokens += tokens
        progress.seconds += seconds
        self._advance()
        return Stepped(
            step=progress.step,
            epoch=progress.epochs,
            done=min(1.0, progress.share(self.length)),
            loss=found.loss.loss,
            terms=found.loss.terms,
            learning_rate=rate,
            gradient_norm=found.norm,
            tokens=tokens,
            seconds=seconds,
        )

    def batches(self, group: Sequence[tuple[int, ...]]) -> list[Batch]:
        """The batches of an accumulation group, in the pieces that memory holds, on the device."""
        pieces = cut(group, self.progress.pieces, owners=self.data.owners)
        return [self._batch(indices) for indices in pieces]

    def _batch(self, indices: Sequence[int]) -> Batch:
        if self.recall is None or self.progress.pieces > 1:
            return self.data.batch(indices, multiple=self._multiple).to(self.device)
        return replace(self.data.batch(indices).to(self.device), hidden=self.recall.hidden(indices))

    def upcoming(self) -> Group:
        """The group that is learnt from next."""
        return Group(self.progress.epoch, self.progress.group, self._groups[self.progress.group])

    def before(self) -> Group | None:
        """The group that was learnt from last; None at the start of a run."""
        epoch, number, groups = self.progress.epoch, self.progress.group, self._groups
        while True:
            if number == 0:
                if epoch == 0:
                    return None
                epoch -= 1
                groups = epoch_groups(self.data, self.settings, epoch)
                number = len(groups)
            number -= 1
            if [epoch, number] not in self.progress.left_out:
                return Group(epoch, number, groups[number])

    def loss_again(self, group: Group) -> float:
        """The loss now of the group that was learnt from last, under the dropout that it was learnt with."""
        return loss_as_learnt(
            self.objective, self.batches(group.batches), seed=self.data.seed, step=self.progress.step - 1
        )

    def leave_out(self, group: Group) -> None:
        """Learn nothing from a group, now or when it comes up again."""
        self.optimizer.discard()
        self.progress.left_out.append([group.epoch, group.number])
        if self.progress.passed_over:
            self._advance()

    def halve(self, *, broken: bool) -> Halved:
        """Send batches through the model in twice as many pieces from here on, after `step` ran out of memory.

        `broken` tells whether oneDNN can compile nothing more.

        Raises:
            MemoryLimitError: windows go through one by one already.
        """
        if broken or (self.device.type == "cpu" and self.choice.precision == "fp32"):
            self.onednn.leave(broken=broken)
        batches = self._groups[self.progress.group]
        self.progress.pieces = doubled(batches, self.progress.pieces, owners=self.data.owners)
        self.recall = None
        self.optimizer.discard()
        self.freed.close()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        largest = max(len(piece) for piece in cut(batches, self.progress.pieces, owners=self.data.owners))
        onednn = self.onednn.computes
        return Halved(step=self.progress.step, pieces=self.progress.pieces, windows=largest, onednn=onednn)

    def take(self, best: Mapping[str, Tensor]) -> None:
        """Put the best weights into the model."""
        self.optimizer.adopt(best)
        self._left = self.progress.best_unseen_decay

    def close(self) -> None:
        """Give the model back as plain as it came, with what it learnt."""
        self.form.fade(self.progress.unseen_decay if self._left is None else self._left)
        self.guidance.close()
        self.form.undo()
        self.onednn.close()
        self.freed.close()

    def rate(self) -> float:
        """The learning rate of the next step."""
        factor = rate_factor(
            self.settings.schedule,
            self.progress.share(self.length),
            warmup=self.settings.warmup,
            step=self.progress.step_share(self.length),
        )
        return factor * (self.settings.learning_rate or 0.0)

    def _advance(self) -> None:
        """Go on to the next group that is learnt from."""
        progress = self.progress
        progress.group += 1
        if progress.group == progress.groups:
            progress.epoch, progress.group = progress.epoch + 1, 0
            if not progress.finished(self.length):
                self.plan()
        if progress.passed_over and not progress.finished(self.length):
            self._advance()

    def evaluate(self, score_of: Callable[[Model], float]) -> Evaluated:
        """Score the model as it is."""
        begin = time.perf_counter()
        self.freed.release()
        self.form.fade(self.progress.unseen_decay)
        score = float(score_of(self.objective.model))
        best = self.progress.note_score(score, self.settings.best)
        return Evaluated(
            step=self.progress.step,
            epoch=self.progress.epochs,
            score=score,
            best=best,
            best_score=self.progress.best_score if self.progress.best_score is not None else score,
            best_step=self.progress.best_step or self.progress.step,
            seconds=time.perf_counter() - begin,
        )
