"""A tiny thing to learn: which of two words a window begins with, told by its first token."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from tunesmith.core.batch import Encoding
from tunesmith.core.method import Guide
from tunesmith.core.model import Model
from tunesmith.core.regularizer import Regularizer
from tunesmith.core.rooms import METHODS, TASKS
from tunesmith.core.task import Task
from tunesmith.models.inference import logits_of
from tunesmith.models.surgery import apply_method
from tunesmith.tune.checkpoint import Keeping
from tunesmith.tune.data import TrainingData
from tunesmith.tune.events import TuneEvent
from tunesmith.tune.fit import Objective, fit
from tunesmith.tune.settings import TrainSettings


def windows(count: int, *, seed: int = 0) -> list[Encoding]:
    draw = np.random.default_rng(seed)
    made = []
    for index in range(count):
        ids = draw.integers(20, 60, int(draw.integers(3, 12))).astype(np.int32)
        label = int(draw.integers(0, 2))
        ids[0], ids[1] = 2, 10 + label
        made.append(
            Encoding(
                example=index,
                input_ids=ids,
                segment_ids=None,
                places=np.zeros(1, np.int32),
                units=np.zeros(1, np.int32),
                targets=np.array([label], np.int64),
            )
        )
    return made


@dataclass
class Bench:
    """One thing to train, made afresh for each run so that runs can be compared bit by bit."""

    make_model: Callable[..., Model]
    task: Task
    data: TrainingData
    dev: Sequence[Encoding]

    def model(self, *, method: str = "full", dropout: float = 0.1) -> Model:
        model = self.make_model(self.task, dropout=dropout)
        with torch.random.fork_rng():
            torch.manual_seed(1)
            apply_method(model, METHODS.make({"kind": method}, key="method"))
        return model

    def accuracy(self, model: Model) -> float:
        right = [
            int(logits.argmax()) == int(encoding.targets[0])  # type: ignore[index]
            for encoding, (_, logits) in zip(self.dev, logits_of(model, self.dev), strict=True)
        ]
        return sum(right) / len(right)

    def events(
        self,
        model: Model,
        *,
        keeping: Keeping | None = None,
        regularizers: Sequence[Regularizer] = (),
        guide: Guide | None = None,
        scored: bool = True,
        data: TrainingData | None = None,
        **settings: object,
    ) -> Iterator[TuneEvent]:
        return fit(
            Objective(model, self.task, regularizers, guide),
            data or self.data,
            settings=chosen(**settings),
            evaluate=self.accuracy if scored else None,
            keeping=keeping,
        )

    def trained(self, model: Model, **settings: object) -> list[TuneEvent]:
        return list(self.events(model, **settings))  # type: ignore[arg-type]


def chosen(**settings: object) -> TrainSettings:
    """Settings for the tiny model; fp32 unless said otherwise, so that no test depends on a probe."""
    defaults: dict[str, object] = {"learning_rate": 5e-3, "batch_size": 4, "precision": "fp32", "length": "2 epochs"}
    if "batch_tokens" in settings:
        del defaults["batch_size"]
    return TrainSettings.model_validate(defaults | settings)


@pytest.fixture
def bench(tiny_model: Callable[..., Model]) -> Bench:
    task = TASKS.make({"kind": "text_classification", "labels": ["left", "right"], "multi_label": False}, key="task")
    encodings = windows(37)
    data = TrainingData(encodings=encodings, ids=[f"row:{index}" for index in range(37)], seed=3)
    return Bench(tiny_model, task, data, windows(16, seed=9))


@pytest.fixture
def checkpoints(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints"


@pytest.fixture
def equal_weights() -> Callable[[Model, Model], bool]:
    """Whether two models are equal bit by bit."""

    def check(one: Model, other: Model) -> bool:
        pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
        return all(name == again and torch.equal(left, right) for (name, left), (again, right) in pairs)

    return check
