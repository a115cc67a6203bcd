"""Event files, read back with TensorBoard's own reader."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _needed(need: Callable[[str], None]) -> None:
    need("tensorboard")


def read(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder))
    found.Reload()
    return found


def curve(folder: Path, name: str) -> list[tuple[int, float]]:
    return [(event.step, round(event.value, 6)) for event in read(folder).Scalars(name)]


def test_curves_scores_and_configuration_are_there(told: Any, elsewhere: Path) -> None:
    records = [told.started(0), *told.steps(1, 4), told.scored(4, 0.25)]
    assert told({"kind": "tensorboard"}, records) is None
    folder = told.folder / "tensorboard"
    assert curve(folder, "train/loss") == [(n, round(1 / n, 6)) for n in range(1, 5)]
    assert curve(folder, "train/term/r_drop")[0] == (1, 0.5)
    assert curve(folder, "dev/span_f1") == [(4, 0.25)]
    assert curve(folder, "final/test/span_f1/low") == [(4, 0.7)]
    found = read(folder)
    assert "final/test/exact/low" not in found.Tags()["scalars"]
    (text,) = found.Tensors("configuration")
    assert b'"train.keep": 2' in text.tensor_proto.string_val[0]
    assert not told.connections() and not list(elsewhere.iterdir())


def test_steps_after_the_saved_one_are_forgotten_on_going_on(told: Any) -> None:
    assert told({"kind": "tensorboard"}, [told.started(0), *told.steps(1, 6)]) is None
    assert told({"kind": "tensorboard"}, [told.started(3), *told.steps(4, 8)], resumed=True) is None
    assert [step for step, _ in curve(told.folder / "tensorboard", "train/loss")] == list(range(1, 9))


def test_a_run_that_was_killed_before_its_first_state_begins_its_curves_anew(told: Any) -> None:
    assert told({"kind": "tensorboard"}, [told.started(0), *told.steps(1, 3)], ending=told.killed) is None
    assert told({"kind": "tensorboard"}, [told.started(0), *told.steps(1, 2)], resumed=True) is None
    assert [step for step, _ in curve(told.folder / "tensorboard", "train/loss")] == [1, 2]


def test_steps_that_a_spike_undid_are_forgotten(told: Any) -> None:
    records = [told.started(0), *told.steps(1, 6), told.went_back(4), *told.steps(5, 7)]
    assert told({"kind": "tensorboard"}, records) is None
    assert [step for step, _ in curve(told.folder / "tensorboard", "train/loss")] == list(range(1, 8))


def test_silver_pairs_have_curves_of_their_own(told: Any) -> None:
    records = [told.started(0, lesson="silver"), *told.steps(1, 5, lesson="silver"), told.started(0), *told.steps(1, 2)]
    assert told({"kind": "tensorboard"}, records) is None
    assert len(curve(told.folder / "tensorboard" / "silver", "train/loss")) == 5
    assert len(curve(told.folder / "tensorboard", "train/loss")) == 2
    assert told({"kind": "tensorboard"}, [told.started(1), *told.steps(2, 3)], resumed=True) is None
    assert len(curve(told.folder / "tensorboard" / "silver", "train/loss")) == 5
