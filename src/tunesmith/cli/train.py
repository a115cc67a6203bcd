"""`tunesmith train`: from a configuration to a measured model, with progress, and nothing lost on Ctrl-C."""

import gc
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tunesmith.cli.draws import train_draws
from tunesmith.cli.output import emit, out
from tunesmith.core.errors import UsageError

if TYPE_CHECKING:
    from tunesmith.run.config import RunConfig


def train(
    file: Path = typer.Argument(..., help="A TOML configuration, as `tunesmith init` writes it.", metavar="CONFIG"),
    folder: Path = typer.Option(None, "--out", help="Run folder to make; runs/<name of the configuration> by default."),
    data: Path = typer.Option(
        None, "--data", help="Folder that the data paths are relative to, instead of the configuration's."
    ),
    assignments: list[str] = typer.Option(
        [], "--set", help="Override one key, e.g. --set train.length='1 epoch'.", metavar="KEY=VALUE"
    ),
    shots: int = typer.Option(
        None, "--shots", min=0, help="Few-shot: learn from so many rows of each label, drawn at random; 0 for none."
    ),
    draws: int = typer.Option(
        None, "--draws", min=1, help="Few-shot: run so many draws, of --shots or of data.draws, and tell their spread."
    ),
    resume: bool = typer.Option(False, "--resume", help="Go on with a run that was stopped."),
    find_lr: bool = typer.Option(False, "--find-lr", help="Only run a short learning-rate range test and draw it."),
    plan: bool = typer.Option(
        False, "--plan", help="Only tell what the run will take: time, memory and disk, from some of its real steps."
    ),
    memory: str = typer.Option(
        None, "--memory", help="With --plan: what it is to fit into, e.g. 2GB; what is free now where absent."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object at the end, and no progress."),
) -> None:
    """Train, judge and bundle a model.

    Ctrl-C or SIGTERM saves and exits with 130 or 143; the same command with --resume goes on to the same result.

    --plan makes about 20 real steps and one pass through every later stage, and leaves nothing behind.

    Where memory does not hold the run, it tries what would; it exits with 0 whether the run fits or not.

    --draws writes a folder for each draw, draws.json and draws.html; the same command goes on where it was stopped.
    """
    if shots is not None:
        assignments = [*assignments, f"data.shots={shots}"]
    if draws is not None:
        _require_whole_runs(plan or resume or find_lr or memory is not None)
        train_draws(file, draws=draws, folder=folder, data=data, assignments=assignments, as_json=as_json)
    from tunesmith.run.lock import require_free

    _require_one_purpose(plan=plan, memory=memory is not None, other=resume or find_lr)
    if plan:
        _plan(file, assignments, data, folder=folder, memory=memory, as_json=as_json)
        return
    target = _target(file, folder)
    if not find_lr:
        require_free(target)  # before torch is imported: a second writer is to be gone at once

    from tunesmith.cli.progress import PlainWatch, RichWatch
    from tunesmith.run.config import origins, read_config, read_table
    from tunesmith.run.events import Finished, Interrupted
    from tunesmith.run.folder import opened
    from tunesmith.run.stopping import stop_wishes
    from tunesmith.run.train import run

    config = read_config(file, overrides=assignments, data=data)
    if find_lr:
        _find_lr(config, as_json=as_json)
        return
    gc.freeze()  # what was imported stays: without this every search for garbage walks it again, a tenth of a second
    run_folder = opened(target, resume=resume)
    sources = origins(config.as_table(), read_table(file), assignments)
    progress = RichWatch() if out.is_terminal and not as_json else PlainWatch(silent=as_json)
    code = 0
    with stop_wishes() as wish, progress:
        for event in run(config, run_folder, origins=sources, resume=resume, should_stop=wish):
            progress.show(event)
            if isinstance(event, Finished) and as_json:
                emit(event.record)
            if isinstance(event, Interrupted):
                code = wish.exit_code
                if as_json:
                    emit({"stopped_by": event.signal, "step": event.step, "folder": str(event.folder)})
    raise typer.Exit(code)


def _require_one_purpose(*, plan: bool, memory: bool, other: bool) -> None:
    if (memory and not plan) or (plan and other):
        raise UsageError(
            "--plan plans a whole run: it goes with --memory, and with neither --resume nor --find-lr",
            code="TS-CLI-004",
            fix="write tunesmith train CONFIG --plan [--memory 2GB].",
        )


def _require_whole_runs(otherwise: bool) -> None:
    if otherwise:
        raise UsageError(
            "--draws runs several whole runs, and goes on by itself where it was stopped",
            code="TS-CLI-007",
            fix="leave out --plan, --memory, --resume and --find-lr.",
        )


def _target(file: Path, folder: Path | None) -> Path:
    return folder or Path("runs") / file.stem


def _plan(
    file: Path, assignments: list[str], data: Path | None, *, folder: Path | None, memory: str | None, as_json: bool
) -> None:
    from tunesmith.core.byte_size import parse_bytes

    limit = None if memory is None else parse_bytes(memory, key="--memory")

    from tunesmith.cli.plan import plan
    from tunesmith.run.config import overridden, parsed, read_table

    given = overridden(read_table(file), assignments)
    base = (data or file.parent).resolve()
    parsed(given, folder=base)  # what is wrong with it is said at once
    words = [("--out", folder), ("--data", data), *(("--set", assignment) for assignment in assignments)]
    command = ["tunesmith", "train", str(file), *(str(word) for pair in words if pair[1] for word in pair)]
    plan(given, folder=base, target=_target(file, folder), memory=limit, command=command, as_json=as_json)


def _find_lr(config: "RunConfig", *, as_json: bool) -> None:
    from tunesmith.cli.counting import counting
    from tunesmith.cli.rate_chart import chart
    from tunesmith.run.find_lr import range_test

    with counting("trying rates", quiet=as_json) as progress:
        found = range_test(config, progress=progress)
    if as_json:
        emit(found.as_record())
        return
    out.print(chart(found.tried, found.suggestion), highlight=False, markup=False)
    if found.suggestion is None:
        out.print("the loss fell at no rate: look at the data, or raise train.batch_size")
        return
    out.print(f"suggested  --set train.learning_rate={found.suggestion:.1e}    (configured: {found.configured:g})")
