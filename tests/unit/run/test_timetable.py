"""What is said of evaluations, saves and states on the disk is what a real run then does."""

import json
from pathlib import Path

import pytest

from tunesmith.core.duration import Duration
from tunesmith.run.config import parsed
from tunesmith.run.folder import opened
from tunesmith.run.timetable import MOST_BORDERS, Pace, timetable
from tunesmith.run.train import run
from tunesmith.tune.events import Evaluated, Saved, Started, Stepped
from tunesmith.tune.settings import TrainSettings

PACE = Pace(step=0.01, evaluation=0.01, save=0.01)


@pytest.mark.parametrize(
    "own",
    [
        {"length": "2 epochs"},
        {"length": "17 steps", "evaluate_every": "5 steps", "save_every": "4 steps"},
        {"length": "1.5 epochs", "evaluate_every": "0.4 epochs", "save_every": "0.3 epochs", "accumulate": 2},
        {"length": "3 steps", "evaluate_every": "0.05 epochs", "save_every": "1 step", "keep": 1},
    ],
)
def test_counts_are_those_of_a_run(tmp_path: Path, tiny_bert_folder: Path, own: dict[str, object]) -> None:
    rows = [{"text": f"{word} number {n}", "label": word} for n in range(24) for word in ("card", "hello")]
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    train = {"batch_size": 3, "precision": "fp32", "threads": 1} | own
    table = {"backbone": str(tiny_bert_folder), "data": {"train": "rows.jsonl"}, "train": train}
    events = list(run(parsed(table, folder=tmp_path), opened(tmp_path / "run", resume=False), origins={}))
    started = next(event for event in events if isinstance(event, Started))
    settings = TrainSettings.model_validate(train)
    found = timetable(settings, length=Duration.parse(settings.length or ""), groups=started.steps_per_epoch, pace=PACE)
    assert found.steps == sum(isinstance(event, Stepped) for event in events)
    assert found.evaluations == sum(isinstance(event, Evaluated) for event in events)
    assert found.saves == sum(isinstance(event, Saved) for event in events)
    left = len(list((tmp_path / "run" / "checkpoints").glob("step-*")))
    assert min(found.states, settings.keep) == left
    assert found.with_best <= found.states <= settings.keep + 1


def test_a_slower_machine_saves_more_often_and_a_given_time_holds_fewer_steps() -> None:
    settings = TrainSettings()

    def at(seconds: float, length: str) -> tuple[int, int]:
        pace = Pace(step=seconds, evaluation=1.0, save=0.1)
        found = timetable(settings, length=Duration.parse(length), groups=50, pace=pace)
        return found.steps, found.saves

    assert at(0.01, "100 steps") == (100, 1)
    assert at(1.0, "100 steps")[1] == 10
    assert at(0.5, "1 minute")[0] == 120 and at(1.0, "1 minute")[0] == 60


def test_a_long_run_is_not_walked_step_by_step() -> None:
    length = Duration.parse(f"{50 * MOST_BORDERS} steps")
    found = timetable(TrainSettings(evaluate_every="100000 steps"), length=length, groups=1000, pace=PACE)
    assert found.steps == pytest.approx(length.amount, rel=1e-3)
    assert found.evaluations == pytest.approx(100, abs=1)
