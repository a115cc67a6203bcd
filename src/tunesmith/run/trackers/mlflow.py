"""MLflow: a run of an experiment, in a database file of the run folder unless you name a server or a file.

    mlflow ui --backend-store-uri sqlite:///runs/demo/mlflow.db

When to use it: a tracking server of your own, or one file for many runs (`uri = "sqlite:///runs.db"`).
Cost: numbers are written together, every two seconds. Nothing leaves the machine unless `uri` names another one.
Relations: wandb for a hosted service, tensorboard for curves alone.
Going on: the run is found again by its tag `tunesmith.id`. What was logged cannot be taken back: steps after the saved
one are logged twice, with equal values.
"""

import logging
import os
import time
from typing import Any, ClassVar
from urllib.parse import urlsplit

from pydantic import field_validator

from tunesmith.core.tracker import Ending, Record, TrackedRun, Tracker, Tracking, charted

TOGETHER = 2.0
"""Seconds of numbers that are written at once."""
STATES = {"finished": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}
LONGEST = 5000
"""Characters of a value of the configuration; the library takes 6,000."""


class Mlflow(Tracker):
    """One run of an experiment."""

    needs: ClassVar[tuple[str, ...]] = ("mlflow", "sqlalchemy", "alembic")

    experiment: str = "tunesmith"
    """The experiment that the run belongs to; made where it does not exist."""
    uri: str | None = None
    """A tracking server (`https://...`) or a database (`sqlite:///runs.db`); a file in the run folder where absent."""

    @field_validator("uri")
    @classmethod
    def _no_password(cls, uri: str | None) -> str | None:
        if uri and urlsplit(uri).password:
            raise ValueError("a password has no place here, use MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD")
        return uri

    def begin(self, run: TrackedRun) -> Tracking:
        """Open the run that carries the id of the run folder, or make it."""
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # both are read when the library is imported
        os.environ["DO_NOT_TRACK"] = "true"
        logging.getLogger("alembic").setLevel(logging.WARNING)
        from mlflow.entities import Param
        from mlflow.tracking import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.WARNING)
        client = MlflowClient(tracking_uri=self.uri or f"sqlite:///{run.folder / 'mlflow.db'}")
        known = client.get_experiment_by_name(self.experiment)
        files = None if self.uri else (run.folder / "mlartifacts").as_uri()
        experiment = known.experiment_id if known else client.create_experiment(self.experiment, files)
        found = client.search_runs([experiment], f"tags.`tunesmith.id` = '{run.id}'", max_results=1)
        if found:
            opened = found[0]
            client.update_run(opened.info.run_id, status="RUNNING")
        else:
            opened = client.create_run(experiment, tags={"tunesmith.id": run.id}, run_name=run.name)
        # What a run began with stays: a key that may change on going on (train.keep) keeps its first value.
        facts = {name: str(value)[:LONGEST] for name, value in run.facts.items() if name not in opened.data.params}
        pairs = [Param(name, value) for name, value in facts.items()]
        for start in range(0, len(pairs), 100):
            client.log_batch(opened.info.run_id, params=pairs[start : start + 100])
        return _Logged(client, opened.info.run_id)


class _Logged(Tracking):
    def __init__(self, client: Any, run: str) -> None:  # noqa: ANN401 - a library that is not always there
        self.client = client
        self.run = run
        self.waiting: list[Any] = []
        self.last = time.monotonic()
        self.step = 0

    def note(self, record: Record) -> None:
        if numbers := charted(record):
            self.keep(numbers, record)
        if self.waiting and (len(self.waiting) >= 500 or time.monotonic() - self.last > TOGETHER):
            self.write()

    def keep(self, numbers: dict[str, float], record: Record) -> None:
        """Put numbers aside."""
        from mlflow.entities import Metric

        step, moment = record["step"], record["time"]
        assert isinstance(step, int) and isinstance(moment, float)
        self.step = step
        self.waiting += [Metric(name, value, int(moment * 1000), step) for name, value in numbers.items()]

    def write(self) -> None:
        """Write what was put aside."""
        self.client.log_batch(self.run, metrics=self.waiting)
        self.waiting = []
        self.last = time.monotonic()

    def finish(self, ending: Ending) -> None:
        self.keep(ending.numbers, {"step": self.step, "time": time.time()})
        self.write()
        self.client.set_tag(self.run, "tunesmith.reason", ending.reason)
        for name, value in ending.cost.items():
            self.client.set_tag(self.run, f"tunesmith.cost.{name}", str(value))
        self.client.set_terminated(self.run, STATES[ending.state])
