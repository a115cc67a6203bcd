"""A loss spike is told with its examples before anything learns from it, and can be undone as if it had never been."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tunesmith.tune import recovery
from tunesmith.tune import training as training_module
from tunesmith.tune.checkpoint import Keeping, newest
from tunesmith.tune.events import Saved, Spiked, Stepped
from tunesmith.tune.progress import Progress
from tunesmith.tune.spikes import broke_weights, is_spike
from tunesmith.tune.training import Training

LONG = {"length": "10 epochs", "batch_size": 12, "schedule": "constant", "warmup": 0.0}
BAD = (8, 2)
"""Epoch and group, of 4 a epoch: step 34 of 40."""
STEP = 4 * BAD[0] + BAD[1]


def of(kind: type, events: list[Any]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


@pytest.fixture
def shuffled(monkeypatch: pytest.MonkeyPatch) -> None:
    """One batch of one epoch has the wrong label everywhere."""
    plain = Training.batches

    def batches(self: Training, group: Any) -> Any:
        here = (self.progress.epoch, self.progress.group) == BAD and group == self.upcoming().batches
        return [replace(batch, targets=1 - batch.targets) if here else batch for batch in plain(self, group)]

    monkeypatch.setattr(Training, "batches", batches)


@pytest.fixture
def overdone(monkeypatch: pytest.MonkeyPatch) -> None:
    """One update is made at a thousand times the rate."""
    plain = Training.rate

    def rate(self: Training) -> float:
        here = (self.progress.epoch, self.progress.group) == BAD
        return plain(self) * (1000 if here else 1)

    monkeypatch.setattr(Training, "rate", rate)


@pytest.fixture
def without(bench: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """The run that never sees the bad batch."""

    def run() -> Any:
        with monkeypatch.context() as patch:
            patch.setattr(training_module, "Progress", lambda: Progress(left_out=[list(BAD)]))
            model = bench.model()
            steps = of(Stepped, bench.trained(model, **LONG))
        assert len(steps) == 39
        return model

    return run


def test_what_is_usual_is_known_after_some_losses() -> None:
    assert not is_spike([0.1] * 15, 9.0)
    assert is_spike([0.1] * 16, 0.2) and not is_spike([0.1] * 16, 0.12)
    assert not is_spike([0.1, 1.0] * 16, 2.0) and is_spike([0.1, 1.0] * 16, 4.0)


def test_the_update_is_blamed_where_its_batch_looks_more_like_the_spike_than_like_itself() -> None:
    assert broke_weights(4.0, then=0.1, now=2.0, usual=0.4) and broke_weights(4.0, then=0.1, now=0.7, usual=0.4)
    assert not broke_weights(4.0, then=0.1, now=0.6, usual=0.4) and not broke_weights(
        4.0, then=0.1, now=0.05, usual=0.4
    )
    assert not broke_weights(4.0, then=1e-6, now=0.01, usual=0.4)  # ten thousand times as high, and lower than usual


def test_a_batch_is_asked_again_under_the_dropout_it_was_learnt_with(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, then, now = Training.update, [], []

    def update(self: Training, found: Any) -> Stepped:
        stepped = plain(self, found, rate=0.0)
        group = self.before()
        assert group is not None
        then.append(found.loss.loss)
        now.append(self.loss_again(group))
        return stepped

    monkeypatch.setattr(Training, "update", update)
    bench.trained(bench.model(dropout=0.3), accumulate=2)
    assert len(then) == 10 and now == pytest.approx(then, rel=1e-6)


def test_a_plain_run_has_none(bench: Any) -> None:
    assert not of(Spiked, bench.trained(bench.model(), **LONG))


@pytest.mark.usefixtures("shuffled")
def test_a_batch_of_wrong_labels_is_named(bench: Any) -> None:
    events = bench.trained(bench.model(), **LONG)
    (spiked,) = of(Spiked, events)
    assert (spiked.step, spiked.blame, spiked.outcome) == (STEP + 1, "batch", "learnt")
    assert spiked.loss > 1.5 * spiked.usual and len(of(Stepped, events)) == 40
    assert len(spiked.examples) == 12 and set(spiked.examples) <= set(bench.data.ids)


@pytest.mark.usefixtures("shuffled")
def test_a_batch_that_is_left_out_was_never_there(
    bench: Any, without: Callable[[], Any], equal_weights: Callable[[Any, Any], bool]
) -> None:
    model = bench.model()
    events = bench.trained(model, on_spike="roll_back", **LONG)
    (spiked,) = of(Spiked, events)
    assert spiked.outcome == "left_out" and len(of(Stepped, events)) == 39
    assert equal_weights(model, without())


@pytest.mark.usefixtures("overdone")
def test_an_update_that_broke_the_weights_is_undone(
    bench: Any, checkpoints: Path, without: Callable[[], Any], equal_weights: Callable[[Any, Any], bool]
) -> None:
    model = bench.model()
    keeping = Keeping(folder=checkpoints)
    events = list(bench.events(model, keeping=keeping, on_spike="roll_back", save_every="5 steps", **LONG))
    (spiked,) = of(Spiked, events)
    assert (spiked.blame, spiked.outcome, spiked.step) == ("weights", "rolled_back", 30)
    following = events[events.index(spiked) + 1 :]
    assert isinstance(following[0], Saved) and following[0].step == 30
    assert of(Stepped, following)[0].step == 31
    assert equal_weights(model, without())


@pytest.mark.usefixtures("overdone")
def test_a_run_stopped_after_going_back_goes_on_without_the_batch(
    bench: Any, checkpoints: Path, without: Callable[[], Any], equal_weights: Callable[[Any, Any], bool]
) -> None:
    settings = {"on_spike": "roll_back", "save_every": "5 steps"} | LONG
    events = bench.events(bench.model(), keeping=Keeping(folder=checkpoints), **settings)
    while not isinstance(next(events), Spiked):
        pass
    next(events)
    events.close()
    again = bench.model()
    state = newest(checkpoints)
    assert state is not None and state.step == 30 and state.record["progress"]["left_out"] == [list(BAD)]
    following = list(bench.events(again, keeping=Keeping(folder=checkpoints, resume=state), **settings))
    assert not of(Spiked, following) and equal_weights(again, without())


@pytest.mark.usefixtures("shuffled")
def test_a_run_with_many_batches_left_out_says_that_batches_are_not_the_cause(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "MOST_LEFT_OUT", 0)
    events = bench.trained(bench.model(), on_spike="roll_back", **LONG)
    assert of(Spiked, events)[0].outcome == "too_many" and len(of(Stepped, events)) == 40


@pytest.mark.usefixtures("overdone")
def test_damaged_states_do_not_end_a_run_that_would_go_back(bench: Any, checkpoints: Path) -> None:
    events = bench.events(
        bench.model(), keeping=Keeping(folder=checkpoints), on_spike="roll_back", save_every="5 steps", **LONG
    )
    outcomes = []
    for event in events:
        if isinstance(event, Saved):
            (event.folder / "tensors.safetensors").write_bytes(b"")
        outcomes += [event.outcome] if isinstance(event, Spiked) else []
    assert outcomes[0] == "no_state"


@pytest.mark.usefixtures("overdone")
def test_without_a_saved_state_it_is_told_that_there_is_none(bench: Any) -> None:
    spiked = of(Spiked, bench.trained(bench.model(), on_spike="roll_back", **LONG))[0]
    assert (spiked.blame, spiked.outcome) == ("weights", "no_state")


def test_a_last_batch_that_is_left_out_ends_the_run(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_module, "Progress", lambda: Progress(left_out=[[1, 9], [0, 9]]))
    events = bench.trained(bench.model())
    assert len(of(Stepped, events)) == 18 and events[-1].epoch == 2.0
