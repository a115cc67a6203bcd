"""Put a nan or an infinity into one step, at eleven places, in fp32 and bf16, and look at what it touched."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from reliability.figure import Finding, counted
from reliability.tiny_run import TinyRun, digest
from tunesmith.core.errors import NumericsError
from tunesmith.core.model import Model
from tunesmith.models.precision import Choice
from tunesmith.tune.checkpoint import newest
from tunesmith.tune.data import epoch_groups
from tunesmith.tune.events import Stepped
from tunesmith.tune.gradient import Objective
from tunesmith.tune.training import Training

NAN, INF = float("nan"), float("inf")
STEP = 4
"""Updates before the step that is poisoned"""


def _poisoned(tensor: Tensor, value: float) -> Tensor:
    """The tensor with another first number."""
    poison = torch.zeros_like(tensor)
    poison.view(-1)[0] = value
    return tensor + poison


def _forward(name: str, value: float, *, call: int = 1) -> Callable[[Model], Any]:
    """Poison what a module gives, from its `call`-th forward pass on."""

    def install(model: Model) -> Any:
        calls = [0]

        def hook(_: object, __: object, given: Tensor) -> Tensor:
            calls[0] += 1
            return _poisoned(given, value) if calls[0] >= call else given

        return model.get_submodule(name).register_forward_hook(hook)

    return install


def _gradient(name: str, value: float) -> Callable[[Model], Any]:
    return lambda model: model.get_parameter(name).register_hook(lambda gradient: _poisoned(gradient, value))


PLACES: dict[str, Callable[[Model], Any]] = {
    "nan in the logits": _forward("head", NAN),
    "infinity in the head's gradient": _gradient("head.classifier.weight", INF),
    "nan in the input": _forward("backbone.embeddings", NAN),
    "nan in a layer's gradient": _gradient("backbone.layers.0.feed_forward.up.weight", NAN),
    "nan in a regularizer's pass": _forward("head", NAN, call=2),
    "nan in the second batch of a group": _forward("head", NAN, call=3),
    "infinity in the logits": _forward("head", INF),
    "infinity in the input": _forward("backbone.embeddings", INF),
    "nan between two layers": _forward("backbone.layers.0.feed_forward", NAN),
    "nan in the head's gradient": _gradient("head.classifier.weight", NAN),
    "infinity in a norm's gradient": _gradient("backbone.layers.1.feed_forward_norm.weight", INF),
}


def measure(folder: Path, count: int) -> Finding:
    """`count` poisoned steps, the places in turn, one precision after the other."""
    faults, clean = [], {}
    for trial in range(count):
        precision = ("fp32", "bf16")[trial // len(PLACES) % 2]
        name = list(PLACES)[trial % len(PLACES)]
        run = TinyRun(precision=precision)
        if precision not in clean:
            clean[precision] = _steps(_training(run))
        fault = _in_memory(run, PLACES[name], clean[precision]) or _on_disk(
            run, PLACES[name], folder / f"trial-{trial}"
        )
        if fault:
            faults.append(f"{name}, {precision}: {fault}")
    return counted(count, faults)


def _in_memory(run: TinyRun, poison: Callable[[Model], Any], clean: list[Any]) -> str | None:
    """What a poisoned step changes, and what it changes for the steps after it; None where nothing."""
    training = _training(run)
    model = training.objective.model
    for _ in range(STEP):
        training.step()
    before = digest(training.optimizer.state()), digest(model.state_dict())
    batches = epoch_groups(training.data, training.settings, training.progress.epoch)[training.progress.group]
    handle = poison(model)
    try:
        return f"step {training.step().step} was made"
    except NumericsError as error:
        if fault := _said_wrong(error, {run.data.ids[index] for batch in batches for index in batch}):
            return fault
    handle.remove()
    if before != (digest(training.optimizer.state()), digest(model.state_dict())):
        return "weights or moments changed"
    return None if _steps(training) == clean[STEP:] else "later steps are others"


def _steps(training: Training) -> list[Any]:
    """The losses of the steps that are left, and the bits of masters and moments at the end."""
    losses: list[Any] = []
    while not training.progress.finished(training.length):
        losses.append(training.step().loss)
    return [*losses, digest(training.optimizer.state())]


def _training(run: TinyRun) -> Training:
    objective = Objective(run.model(), run.task, run.terms)
    choice, device = Choice(run.precision, "set"), torch.device("cpu")
    return Training(objective, run.data, settings=run.settings(), choice=choice, device=device)


def _said_wrong(error: NumericsError, group: set[str]) -> str | None:
    named = error.message.rpartition("examples ")[2].split(", ")
    right = f"step {STEP} " in error.message and set(named) <= group
    return None if right and "Nothing was updated" in error.fix else f"it says {error}"


def _on_disk(run: TinyRun, poison: Callable[[Model], Any], place: Path) -> str | None:
    """What a run leaves behind that met the poison; None where it is the finite state before, from which it goes on."""
    model = run.model()
    try:
        for event in run.events(model, place, save_every="1 steps"):
            if isinstance(event, Stepped) and event.step == STEP:
                handle = poison(model)
        return "the run did not stop"
    except NumericsError:
        handle.remove()
    state = newest(place / "checkpoints")
    if state is None or state.step != STEP:
        return f"the newest state is {state}"
    for file in sorted(place.rglob("tensors.safetensors")):
        if not all(torch.isfinite(tensor).all() for tensor in load_file(file).values()):
            return f"{file.parent.name} holds a number that is not finite"
    return None
