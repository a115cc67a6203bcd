"""`[train]`: how a run learns. Everything has a default that works; a setting that contradicts another is an error."""

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from tunesmith.core.duration import Duration
from tunesmith.core.errors import ConfigError

DEFAULT_BATCH = 16
DEFAULT_EPOCHS, MOST_EPOCHS, ENOUGH_UPDATES = 3, 20, 400


class TrainSettings(BaseModel):
    """How long, how fast, how much at once, and what is kept."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    length: str | None = None
    """How long to train: "3 epochs", "500 steps" or "20 minutes"; only minutes make a run depend on the machine's pace.
    Where absent: 3 epochs, or with few rows as many as make 400 updates, at most 20. "0 epochs" judges and bundles the
    model as it is, for tasks that can answer before they learn."""
    learning_rate: float | None = Field(default=None, gt=0)
    """Peak rate; where absent the method's own, smaller for wider backbones."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the rate falls to zero after the warm-up, or that it does not."""
    warmup: float = Field(default=0.1, ge=0, lt=1)
    """Share of the run in which the rate rises to its peak."""
    batch_size: int | None = Field(default=None, ge=1)
    """Windows (texts) that go through the model at once, rows for `retrieval`; 16 unless `batch_tokens` is given."""
    batch_tokens: int | None = Field(default=None, ge=1)
    """Tokens that go through the model at once, instead of `batch_size`: even memory where lengths differ much."""
    accumulate: int = Field(default=1, ge=1)
    """Batches whose gradients are summed before one update; the gradient is that of one large batch, exactly."""
    weight_decay: float = Field(default=0.01, ge=0, lt=1)
    """Decoupled decay of matrices and embedding tables (Loshchilov and Hutter 2019); never of biases and norms."""
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    """Factor on the learning rate for each layer further from the head (Howard and Ruder 2018); 1 is even."""
    clip: float = Field(default=1.0, ge=0)
    """Longest gradient, as its norm over all parameters; 0 does not clip."""
    on_spike: Literal["report", "roll_back"] = "report"
    """What follows when the loss of a batch lies far above what was usual: its examples are named, or the run also goes
    back to before the batch that caused it and leaves that batch out."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Number format of the matrix products; bf16 keeps fp32 master weights. "auto" measures for 50 ms."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; "auto" takes a GPU where there is one."""
    threads: int | None = Field(default=None, ge=1)
    """Processor threads; torch's choice where absent. Equal thread counts give bitwise equal results."""
    evaluate_every: str | None = None
    """How often to score the dev set, in epochs or steps; at the end of each epoch where absent."""
    patience: int | None = Field(default=None, ge=1)
    """Stop after so many evaluations without a better score; never where absent."""
    best: Literal["highest", "lowest"] = "highest"
    """Which score is the best one: its weights are the result of the run."""
    save_every: str | None = None
    """How often to save a state to resume from. Where absent: so often that a kill costs a twentieth of the work
    done (or 10 seconds where that is longer), and that saving costs under 3 % of the time."""
    keep: int = Field(default=2, ge=1)
    """Saved states kept on disk; older ones are removed once a newer one is durable."""
    gradient_checkpointing: bool = False
    """Keep only the borders of layers and compute their inside twice: a third slower, far less memory."""
    dropout: float | None = Field(default=None, ge=0, lt=1)
    """Dropout probability everywhere; the checkpoint's own where absent."""

    @field_validator("length", "evaluate_every", "save_every")
    @classmethod
    def _is_a_duration(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None:
            return None
        try:
            duration = Duration.parse(value, zero=info.field_name == "length")
        except ConfigError as error:
            raise PydanticCustomError("duration", "{reason}", {"reason": f"{error.message}: {error.fix}"}) from None
        if info.field_name == "evaluate_every" and duration.unit == "seconds":
            raise PydanticCustomError(
                "duration", "evaluations are counted in epochs or steps, so that a run does not depend on the machine"
            )
        return value

    @field_validator("batch_tokens")
    @classmethod
    def _one_batch_measure(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is not None and info.data.get("batch_size") is not None:
            raise PydanticCustomError("contradiction", "contradicts batch_size: give one of the two")
        return value

    @property
    def windows(self) -> int | None:
        """Windows in a batch, or None where tokens are counted."""
        return self.batch_size or (None if self.batch_tokens else DEFAULT_BATCH)

    @property
    def learns_nothing(self) -> bool:
        """Whether the length is zero."""
        return self.length is not None and Duration.parse(self.length, zero=True).amount == 0

    def epochs_for(self, windows: int) -> int:
        """The epochs that a run over so many windows takes where no length is set."""
        group = (self.windows or DEFAULT_BATCH) * self.accumulate
        needed = math.ceil(ENOUGH_UPDATES / max(1, math.ceil(windows / group)))
        return min(max(needed, DEFAULT_EPOCHS), MOST_EPOCHS)
