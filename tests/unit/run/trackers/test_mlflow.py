"""Runs in a database file, read back with MLflow's own client."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tunesmith.core.errors import ConfigError
from tunesmith.core.rooms import TRACKERS

READ = """
import json, sys
from mlflow.tracking import MlflowClient

client = MlflowClient(tracking_uri=sys.argv[1])
experiments = client.search_experiments()
runs = client.search_runs([experiment.experiment_id for experiment in experiments])
print(json.dumps([
    {
        "experiment": client.get_experiment(run.info.experiment_id).name,
        "name": run.info.run_name,
        "status": run.info.status,
        "params": run.data.params,
        "tags": run.data.tags,
        "curves": {
            name: [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, name)]
            for name in run.data.metrics
        },
    }
    for run in runs
]))
"""


def read(uri: str) -> list[dict[str, Any]]:
    """Every run of a store, read in another process: the library warns and logs as it likes."""
    command = [sys.executable, "-W", "ignore", "-c", READ, uri]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.fixture
def _needed(need: Callable[[str], None]) -> None:
    need("mlflow")


@pytest.mark.usefixtures("_needed")
def test_a_run_is_kept_in_its_folder(told: Any, elsewhere: Path) -> None:
    silver = told.steps(1, 2, lesson="silver")
    assert told({"kind": "mlflow"}, [*silver, told.started(0), *told.steps(1, 3), told.scored(3, 0.25)]) is None
    (run,) = read(f"sqlite:///{told.folder / 'mlflow.db'}")
    assert (run["experiment"], run["name"], run["status"]) == ("tunesmith", "demo", "FINISHED")
    assert run["params"]["train.keep"] == "2" and run["params"]["regularizers"] == "['r_drop']"
    assert run["params"]["backbone.fingerprint"] == "b" * 64
    assert run["curves"]["train/loss"] == [[1, 1.0], [2, 0.5], [3, 1 / 3]]
    assert run["curves"]["silver/train/loss"] == [[1, 1.0], [2, 0.5]]
    assert run["curves"]["dev/span_f1"] == [[3, 0.25]]
    assert run["curves"]["final/test/span_f1/high"] == [[3, 0.9]]
    assert run["tags"]["tunesmith.cost.device"] == "cpu"
    assert not told.connections()
    assert not list(elsewhere.iterdir())


@pytest.mark.usefixtures("_needed")
def test_a_resumed_run_is_the_same_run(told: Any) -> None:
    assert told({"kind": "mlflow"}, told.steps(1, 4), ending=told.killed) is None
    store = f"sqlite:///{told.folder / 'mlflow.db'}"
    assert [run["status"] for run in read(store)] == ["KILLED"]
    assert told({"kind": "mlflow"}, told.steps(3, 6), resumed=True) is None
    (run,) = read(store)
    assert run["status"] == "FINISHED"
    assert run["params"]["train.keep"] == "2", "what a run began with stays"
    assert sorted({step for step, _ in run["curves"]["train/loss"]}) == [1, 2, 3, 4, 5, 6]


@pytest.mark.usefixtures("_needed")
def test_a_server_that_does_not_answer_is_given_up_in_time(told: Any) -> None:
    table = {"kind": "mlflow", "uri": "http://mlflow.invalid", "wait": 10.0}  # a busy machine imports it for seconds
    fault = told(table, told.steps(1, 2))
    assert fault is not None
    assert told.connections(), "the trap for connections works"


def test_a_password_in_the_address_is_refused() -> None:
    with pytest.raises(ConfigError, match="MLFLOW_TRACKING_PASSWORD"):
        TRACKERS.make({"kind": "mlflow", "uri": "https://me:secret@host"}, key="trackers.0")
