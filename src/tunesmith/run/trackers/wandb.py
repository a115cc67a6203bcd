"""Weights & Biases, offline unless you say otherwise: the run is kept in its folder, and `wandb sync` sends it later.

    wandb sync runs/demo/wandb/offline-run-*

When to use it: runs of several people in one place.
Cost: a helper process of the library. Nothing leaves the machine while `online` is off: no account is looked up, no
crash is reported, and no code, command line, Git state or machine load is recorded, online or not.
Relations: mlflow for a server of your own, tensorboard for curves alone.
Going on: the same run id. What was logged cannot be taken back: steps after the saved one are logged twice, with equal
values. Each curve has a step of its own to be drawn over (`step`, `silver/step`).
"""

import os
from typing import Any, ClassVar

from tunesmith.core.tracker import Ending, Record, TrackedRun, Tracker, Tracking, charted


class Wandb(Tracker):
    """One run of a project."""

    needs: ClassVar[tuple[str, ...]] = ("wandb",)

    project: str = "tunesmith"
    """The project that the run belongs to."""
    entity: str | None = None
    """The user or team that owns the project; your own where absent."""
    online: bool = False
    """Send everything while the run works. The key comes from `wandb login` or WANDB_API_KEY."""

    def begin(self, run: TrackedRun) -> Tracking:
        """Open the run under the id that its folder keeps."""
        os.environ["WANDB_ERROR_REPORTING"] = "false"  # read when the library is imported
        import wandb

        settings = wandb.Settings(
            console="off",
            silent=True,
            symlink=False,
            save_code=False,
            disable_code=True,
            disable_git=True,
            disable_job_creation=True,
            x_disable_meta=True,
            x_disable_stats=True,
            x_disable_machine_info=True,
        )
        opened = wandb.init(
            mode="online" if self.online else "offline",
            project=self.project,
            entity=self.entity,
            dir=str(run.folder),
            id=run.id,
            name=run.name,
            resume="allow",
            config=run.facts,
            allow_val_change=True,
            settings=settings,
        )
        for lesson in ("", "silver/"):
            opened.define_metric(f"{lesson}step", hidden=True)
            for part in ("train", "dev"):
                opened.define_metric(f"{lesson}{part}/*", step_metric=f"{lesson}step")
        return _Logged(opened)


class _Logged(Tracking):
    def __init__(self, run: Any) -> None:  # noqa: ANN401 - a library that is not always there
        self.run = run

    def note(self, record: Record) -> None:
        if numbers := charted(record):
            above = "silver/" if record["lesson"] == "silver" else ""
            self.run.log({**numbers, f"{above}step": record["step"]})

    def finish(self, ending: Ending) -> None:
        cost = {f"cost/{name}": value for name, value in ending.cost.items()}
        self.run.summary.update({**ending.numbers, **cost, "state": ending.state, "reason": ending.reason})
        self.run.finish(exit_code=0 if ending.state == "finished" else 1)
