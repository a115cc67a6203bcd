"""An ordinary run of a configuration in a temporary folder, and what its report and its answers say."""

import tempfile
from pathlib import Path


def report_of(made, *, folder):
    """The report of a run. `made` is the configuration as TOML has it, its data paths relative to `folder`."""
    report, _ = finished(made, folder=folder)
    return report


def finished(made, *, folder):
    """The report of a run, and its predictions for test."""
    from tunesmith.judge.stored import read_predictions
    from tunesmith.run.config import parsed
    from tunesmith.run.folder import opened, read_json
    from tunesmith.run.train import run

    with tempfile.TemporaryDirectory() as scratch:
        run_folder = opened(Path(scratch) / "run", resume=False)
        for _ in run(parsed(made, folder=Path(folder)), run_folder, origins={}):
            pass
        return read_json(run_folder.report), list(read_predictions(run_folder.predictions("test")))
