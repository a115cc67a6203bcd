"""A run of a fraction of a second whose every bit is known: what the figures interrupt, damage and compare.

A two-layer BERT of random weights learns which of two words stands in a window, with dropout, R-Drop and accumulation,
so that whatever a resumed run could forget is in it.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reliability.forked import done
from tunesmith.core.batch import Encoding
from tunesmith.core.model import Model
from tunesmith.core.rooms import METHODS, REGULARIZERS, TASKS
from tunesmith.core.task import Task
from tunesmith.models.inference import logits_of
from tunesmith.models.loading import build_backbone
from tunesmith.models.surgery import apply_method
from tunesmith.run.journal import Journal, events
from tunesmith.tune.checkpoint import Keeping, newest
from tunesmith.tune.data import TrainingData
from tunesmith.tune.durable import raw
from tunesmith.tune.events import TuneEvent
from tunesmith.tune.fit import Objective, fit
from tunesmith.tune.settings import TrainSettings

CONFIG = {
    "model_type": "bert", "vocab_size": 120, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 32, "max_position_embeddings": 64, "type_vocab_size": 2, "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
}  # fmt: skip
SETTINGS = {
    "length": "4 epochs", "learning_rate": 3e-3, "batch_size": 4, "accumulate": 2, "precision": "fp32",
    "evaluate_every": "3 steps", "save_every": "2 steps",
}  # fmt: skip
STEPS = 32
WINDOWS = 60
KINDS = (("full", "fp32"), ("lora", "bf16"), ("full", "bf16"), ("lora", "fp32"))
"""Method and precision of the runs that are compared, taken in turn"""


def window(index: int) -> Encoding:
    """One text to learn."""
    draw = np.random.default_rng(index)
    ids = draw.integers(20, 110, int(draw.integers(3, 12))).astype(np.int32)
    nowhere = np.zeros(1, np.int32)
    label = np.array([index % 2], np.int64)
    ids[1] = 10 + index % 2
    return Encoding(example=index, input_ids=ids, segment_ids=None, places=nowhere, units=nowhere, targets=label)


@dataclass(frozen=True)
class TinyRun:
    """One run, always the same one."""

    method: str = "full"
    precision: str = "fp32"

    @property
    def task(self) -> Task:
        """What is learnt."""
        return TASKS.make({"kind": "text_classification", "labels": ["a", "b"], "multi_label": False}, key="task")

    @property
    def data(self) -> TrainingData:
        """What it is learnt from."""
        windows = [window(index) for index in range(WINDOWS)]
        return TrainingData(encodings=windows, ids=[f"row-{index}" for index in range(WINDOWS)], seed=1)

    @property
    def terms(self) -> list[Any]:
        """What is learnt beside it."""
        return [REGULARIZERS.make("r_drop", key="regularizers.0")]

    def model(self) -> Model:
        """The model before its first step."""
        torch.manual_seed(5)
        backbone = build_backbone(CONFIG)
        model = Model(backbone, self.task.head(backbone))
        apply_method(model, METHODS.make(self.method, key="method"))
        return model

    def settings(self, **changes: object) -> TrainSettings:
        """Settings, with changes."""
        return TrainSettings.model_validate(SETTINGS | {"precision": self.precision} | changes)

    def events(
        self,
        model: Model,
        folder: Path,
        *,
        data: TrainingData | None = None,
        should_stop: Callable[[], str | None] = lambda: None,
        **changes: object,
    ) -> Iterator[TuneEvent]:
        """Go on with the run in `folder`, or begin it, keeping its journal as a command does."""
        dev = [window(index) for index in range(20)]

        def score(current: Model) -> float:
            return sum(float(logits[0, index % 2]) for index, logits in logits_of(current, dev))

        folder.mkdir(parents=True, exist_ok=True)
        state = newest(folder / "checkpoints")
        journal = Journal(folder / "journal.jsonl")
        journal.rewind(state.step if state else 0)
        for event in fit(
            Objective(model, self.task, self.terms),
            data or self.data,
            settings=self.settings(**changes),
            evaluate=score,
            keeping=Keeping(folder=folder / "checkpoints", resume=state, should_stop=should_stop),
        ):
            journal.note(event, metric="score")
            yield event

    def finish(self, folder: Path) -> None:
        """Go on to the end, and write down what came out."""
        model = self.model()
        for _ in self.events(model, folder):
            pass
        draft = folder / "outcome.tmp"
        draft.write_text(json.dumps(outcome(folder, model)))
        draft.replace(folder / "outcome.json")


def left_alone(folder: Path, count: int) -> dict[tuple[str, str], dict[str, Any]]:
    """What comes out of the first `count` kinds of run where nothing interrupts them, each in a child of its own."""
    found = {}
    for kind in KINDS[:count]:
        place = folder / "-".join(kind)
        done(lambda run=TinyRun(*kind), place=place: run.finish(place), folder / "output")
        found[kind] = ended(place)
    return found


def outcome(folder: Path, model: Model) -> dict[str, Any]:
    """Everything that must not depend on an interruption: weights, masters and moments, losses and scores."""
    state = newest(folder / "checkpoints")
    assert state is not None
    measured = [
        {key: value for key, value in event.items() if key not in ("time", "seconds")}
        for event in events(folder / "journal.jsonl")
        if event["event"] in ("step", "evaluated")
    ]
    return {"weights": digest(model.state_dict()), "state": digest(state.tensors()), "journal": measured}


def digest(tensors: dict[str, torch.Tensor]) -> str:
    """sha256 over names and bits."""
    found = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        found.update(name.encode())
        found.update(raw(tensor.float()))  # numpy has no bf16, and the way to fp32 is exact
    return found.hexdigest()


def ended(folder: Path) -> dict[str, Any]:
    """What `finish` wrote down."""
    return json.loads((folder / "outcome.json").read_text())


def difference(one: dict[str, Any], other: dict[str, Any]) -> str:
    """Which parts of two outcomes differ; empty where they are bitwise equal."""
    return ", ".join(part for part in one if one[part] != other[part])
