"""Plain lines on standard error."""

from typing import Any

import pytest


def test_steps_are_told_at_an_interval_and_scores_always(told: Any, capfd: pytest.CaptureFixture[str]) -> None:
    records = [told.started(0), *told.steps(1, 4), told.scored(4, 0.25)]
    assert told({"kind": "console", "every": 3600.0}, records) is None
    out, err = capfd.readouterr()
    assert not out
    assert err.splitlines() == [
        f"demo  begins in {told.folder}",
        "demo  step 4  epoch 1.00  dev span_f1 0.2500  best",
        "demo  finished: better than its best baseline",
    ]
    assert told({"kind": "console", "every": 0.0}, told.steps(1, 2, lesson="silver"), resumed=True) is None
    lines = capfd.readouterr().err.splitlines()
    assert lines[0] == f"demo  goes on in {told.folder}"
    assert lines[1] == (
        "demo  silver pairs  step 1  epoch 0.25  loss 1.0000  rate 1.0e-04  gradient 1.00  1,000 tokens/s"
    )
    assert len(lines) == 4


def test_what_went_wrong_in_the_loop_is_told(told: Any, capfd: pytest.CaptureFixture[str]) -> None:
    halved = {"event": "halved", "time": 1.0, "lesson": "training", "step": 2, "pieces": 4, "windows": 8}
    nan = told.scored(4, 0.0) | {"score": None, "best": False}
    assert told({"kind": "console", "every": 3600.0}, [halved, told.went_back(1), nan]) is None
    assert capfd.readouterr().err.splitlines()[1:4] == [
        "demo  memory ran out after step 2: 4 pieces a batch from here on",
        "demo  loss spike at step 1: 9 where 0.5 is usual; rolled back; examples train:7, train:9",
        "demo  step 4  epoch 1.00  dev span_f1 not a number",
    ]
