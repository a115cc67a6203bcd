"""An ordinary run of a configuration, and what its report and its answers say."""

import tempfile
from pathlib import Path


def report_of(made, *, folder):
    """The report of a run. `made` is the configuration as TOML has it, its data paths relative to `folder`."""
    report, _ = finished(made, folder=folder)
    return report


def finished(made, *, folder):
    """The report of a run, and its predictions for test."""
    from tunesmith.judge.stored import read_predictions

    with tempfile.TemporaryDirectory() as scratch:
        run_folder = run_in(made, folder=folder, out=Path(scratch) / "run")
        return read_report(run_folder), list(read_predictions(run_folder.predictions("test")))


def run_in(made, *, folder, out):
    """The run kept in `out`."""
    from tunesmith.run.config import parsed
    from tunesmith.run.folder import opened
    from tunesmith.run.train import run

    run_folder = opened(Path(out), resume=False)
    for _ in run(parsed(made, folder=Path(folder)), run_folder, origins={}):
        pass
    return run_folder


def read_report(run_folder):
    """The report of a run."""
    from tunesmith.run.folder import read_json

    return read_json(run_folder.report)
