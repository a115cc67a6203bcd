"""When a run saves, what it writes, and what a saved state must agree with before a run goes on from it."""

import hashlib
import platform
import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from tunesmith.core.duration import Duration
from tunesmith.core.errors import ConfigError, DataError, ModelFileError, NumericsError, Place
from tunesmith.core.finite import is_finite
from tunesmith.tune.checkpoint import BEST, Keeping, SavedState, forget, load_best, newest, save, save_best
from tunesmith.tune.durable import raw
from tunesmith.tune.events import Saved
from tunesmith.tune.progress import Progress
from tunesmith.tune.training import Training

MAY_CHANGE = frozenset(("save_every", "keep", "threads"))
"""Settings that do not decide a run's result; every other one must be as it was when the state was saved."""
SHORTEST, LONGEST = 10.0, 600.0
GUIDE = "guide."
"""Before the names of what a method's guide remembers"""


def interval(elapsed: float, cost: float) -> float:
    """Seconds between two saves where none are set: a kill costs at most a twentieth of the work, a save under 3 %."""
    return max(SHORTEST, 40 * cost, min(elapsed / 20, LONGEST))


class Saver:
    """Keeps the states of one run."""

    def __init__(self, training: Training, keeping: Keeping) -> None:
        self.training = training
        self.folder = keeping.folder
        self.every = training.settings.save_every and Duration.parse(training.settings.save_every)
        self._identity = identity(training)
        self._saved = keeping.resume is not None
        self._step = training.progress.step
        self._epochs = training.progress.epochs
        self._time = time.monotonic()
        self._cost = 0.0

    def due(self) -> bool:
        """Whether a state should be saved now."""
        progress = self.training.progress
        if progress.step == self._step:
            return False
        waited = time.monotonic() - self._time
        if not self.every:
            return waited >= interval(progress.seconds, self._cost)
        now, before = {
            "steps": (progress.step, self._step),
            "epochs": (progress.epochs, self._epochs),
            "seconds": (waited, 0.0),
        }[self.every.unit]
        return int(now / self.every.amount + 1e-9) > int(before / self.every.amount + 1e-9)

    @property
    def needed(self) -> bool:
        """Whether no state holds what has been learnt so far."""
        return not self._saved or self.training.progress.step != self._step

    def save(self) -> Saved:
        """Write a state now.

        Raises:
            StorageError: the disk failed or is full.
            NumericsError: a weight or moment is not a finite number.
        """
        begin = time.monotonic()
        progress = self.training.progress
        present = {"progress": progress.as_record(), "environment": environment(self.training.device)}
        record = {"schema": 1, **self._identity, **present}
        tensors = self.training.optimizer.state()
        if guide := self.training.objective.guide:
            tensors |= {f"{GUIDE}{name}": value for name, value in guide.state().items()}
        _require_finite(tensors, progress.step)
        if progress.best_step not in (None, progress.step):
            best = load_best(self.folder, progress.best_step or 0)
            tensors |= {f"{BEST}.{name}": value for name, value in best.items()}
        path, size = save(self.folder, tensors, record, keep=self.training.settings.keep)
        self._time = time.monotonic()
        self._cost = self._time - begin
        self._saved, self._step, self._epochs = True, progress.step, progress.epochs
        return Saved(step=progress.step, folder=path, bytes=size, seconds=self._cost)

    def back_to(self, step: int) -> SavedState | None:
        """The newest whole state from before an update, with the later ones thrown away; None where there is none."""
        try:
            state = newest(self.folder, below=step)
        except ModelFileError:  # all of them are damaged: no reason to end a run that does not need them to go on
            return None
        if state is not None:
            forget(self.folder, after=state.step)
        return state

    def save_best(self) -> None:
        """Write the present weights as the best ones so far.

        Raises:
            StorageError: the disk failed or is full.
            NumericsError: a weight is not a finite number.
        """
        _require_finite(self.training.optimizer.masters, self.training.progress.step)
        save_best(self.folder, self.training.progress.step, self.training.optimizer.masters)

    def load_best(self, step: int) -> dict[str, Tensor]:
        """The weights of the best step."""
        return load_best(self.folder, step)


def _require_finite(tensors: Mapping[str, Tensor], step: int) -> None:
    """An update of finite numbers can overflow, and only the next loss would tell; a state never holds that."""
    faulty = [name for name, tensor in tensors.items() if not is_finite(tensor)]
    if faulty:
        raise NumericsError(
            f"step {step} left a number that is not finite in {faulty[0]}",
            code="TS-TUNE-013",
            fix="start again with a lower train.learning_rate. It was not saved; the states saved before are whole.",
        )


def identity(training: Training) -> dict[str, Any]:
    """What makes a run this run, JSON-ready: a state is only ever continued by a run with the same identity."""
    objective = training.objective
    return {
        "settings": training.settings.model_dump(mode="json"),
        "task": objective.task.as_table(),
        "regularizers": [regularizer.as_table() for regularizer in objective.regularizers],
        "precision": training.choice.as_record(),
        "data": {"fingerprint": training.data.fingerprint(), "windows": len(training.data.encodings)},
        "seed": training.data.seed,
        "frozen": _digest(training.form.frozen()),
        "environment": environment(training.device),
    }


def environment(device: torch.device) -> dict[str, Any]:
    """What bitwise equality depends on beside the run itself."""
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "processor": torch.backends.cpu.get_cpu_capability(),
        "onednn": bool(torch.backends.mkldnn.enabled),
        "machine": platform.machine(),
    }


def continued(training: Training, state: SavedState) -> tuple[str, ...]:
    """Bring `training` to where the state was saved; returns what a person should know about it.

    Raises:
        DataError: the data are not those the state learnt from.
        ConfigError: a setting, the task, a regularizer or the seed is not what it was; names the key and both values.
    """
    if not state.record["environment"].get("onednn", True):
        training.onednn.leave()
    own = identity(training)
    require_same(own, state.record)
    training.progress = Progress.from_record(state.record["progress"])
    tensors = state.tensors()
    training.optimizer.load(tensors)
    if guide := training.objective.guide:
        guide.load({name.removeprefix(GUIDE): value for name, value in tensors.items() if name.startswith(GUIDE)})
    training.plan()
    if (step := training.progress.best_step) is not None:
        best = {name: tensors.get(f"{BEST}.{name}", tensors[f"master.{name}"]) for name in training.form.masters}
        save_best(state.folder.parent, step, best)
    before, now = state.record["environment"], own["environment"]
    changed = [f"{key} {before[key]} is now {now[key]}" for key in now if key in before and before[key] != now[key]]
    notes = [f"passed over a damaged state, {fault}" for fault in state.skipped]
    if changed:
        notes.append(f"the result will not be bitwise the same: {', '.join(changed)}")
    return tuple(notes)


def require_same(own: Mapping[str, Any], saved: Mapping[str, Any]) -> None:
    """Refuse a state that belongs to another run.

    Raises:
        DataError: other data, or another base model.
        ConfigError: another configuration.
    """
    for key, subject in (("data", "the training data"), ("frozen", "the weights that do not learn")):
        if own[key] != saved[key]:
            raise DataError(
                f"{subject} changed since the state was saved: {_short(saved[key])} then, {_short(own[key])} now",
                code="TS-CKPT-007",
                place=Place(key="data.train" if key == "data" else "backbone"),
                fix="restore what was there, or start a new run in another folder.",
            )
    for section in ("settings", "task", "regularizers", "seed"):
        for key, before, now in _differences(section, saved[section], own[section]):
            if key.removeprefix("train.") not in MAY_CHANGE:
                raise ConfigError(
                    f"the saved state was made with {before!r}, now it says {now!r}",
                    code="TS-CKPT-006",
                    place=Place(key=key),
                    fix="set it back, or start a new run in another folder.",
                )


def _differences(section: str, saved: object, own: object) -> list[tuple[str, object, object]]:
    """(key, then, now) of everything that differs, keys as a configuration writes them."""
    name = "train" if section == "settings" else section
    if isinstance(saved, Mapping) and isinstance(own, Mapping):
        keys = sorted(saved.keys() | own.keys())
        return [(f"{name}.{k}", saved.get(k), own.get(k)) for k in keys if saved.get(k) != own.get(k)]
    return [(name, saved, own)] if saved != own else []


def _short(value: Any) -> str:  # noqa: ANN401  # a JSON value
    if isinstance(value, Mapping):
        return f"{value['windows']} windows, sha256 {value['fingerprint'][:16]}"
    return f"sha256 {value[:16]}"


def _digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in tensors.items():
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(raw(tensor))
    return digest.hexdigest()
