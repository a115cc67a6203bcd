"""The door: `tunesmith VERB ...`. Turns every failure into one line with a remedy and an exit code of sysexits.h."""

import os
import sys
import tempfile
import traceback

import typer

from tunesmith.cli import audit, compare, config, evaluate, init, join, predict, report, runs, serve, train, verify
from tunesmith.cli.output import err, failed, plain, printable, silence
from tunesmith.core.errors import MemoryLimitError, TunesmithError
from tunesmith.core.memory import ran_out

QUIET = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "DO_NOT_TRACK": "1",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
}
"""Set before anything is imported: no telemetry, no noise."""
SPINS = "1000"
"""How often a thread that waits looks again before it sleeps. Many times, and a neighbour on the machine slows a run
severalfold; not at all (OMP_WAIT_POLICY=PASSIVE), and a machine of one's own loses about a quarter."""
KERNELS = "128"
"""How many kernels oneDNN keeps, and torch beside it. One is built for every shape that is met, and batches of texts
bring ever new ones: with their own limits of 1,024 a run in bf16 would go on growing long after its first epoch."""
KEEPERS = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")
"""Who reads that number: oneDNN, and the layer between it and torch, which keeps kernels that oneDNN has let go."""

EPILOG = "A first run: tunesmith init data.jsonl, then tunesmith train data.toml. Every verb has --help and --json."

app = typer.Typer(
    name="tunesmith",
    help="From a file of labelled text to a model that is measured, explained and served.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("init", rich_help_panel="Prepare")(init.init)
app.command("audit", rich_help_panel="Prepare")(audit.audit)
app.command("train", rich_help_panel="Tune")(train.train)
app.add_typer(config.app, name="config", rich_help_panel="Tune")
app.command("evaluate", rich_help_panel="Judge")(evaluate.evaluate)
app.command("report", rich_help_panel="Judge")(report.report)
app.add_typer(runs.app, name="runs", rich_help_panel="Judge")
app.command("compare", rich_help_panel="Judge")(compare.compare)
app.command("join", rich_help_panel="Ship")(join.join)
app.command("predict", rich_help_panel="Ship")(predict.predict)
app.command("verify", rich_help_panel="Ship")(verify.verify)
app.command("serve", rich_help_panel="Ship")(serve.serve)


def _version(wanted: bool) -> None:
    if wanted:
        import importlib.metadata

        typer.echo(f"tunesmith {importlib.metadata.version('tunesmith')}")
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """From a file of labelled text to a model that is measured, explained and served."""


def main() -> None:
    """Run the command line and exit."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    for name in KEEPERS:
        os.environ.setdefault(name, KERNELS)
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    sys.exit(_run())


def _run() -> int:
    code = 0
    try:
        code = _called()
        # What is still held back must meet the reader here: when the process ends, a reader who left is exit code 120.
        if sys.stdout is not None:
            sys.stdout.flush()
    except TunesmithError as error:
        return failed(error, as_json="--json" in sys.argv)
    except BrokenPipeError:
        # The reader of our output left: not an error, and nothing more may be written to it.
        silence(sys.stdout)
    except Exception as error:
        if ran_out(error):
            return failed(_memory_error(error), as_json="--json" in sys.argv)
        return _bug(error)
    return code


def _memory_error(error: Exception) -> MemoryLimitError:
    said = str(error).partition("\n")[0]
    return MemoryLimitError(
        f"memory ran out: {said}" if said else "memory ran out",
        code="TS-CLI-003",
        fix="free memory, or ask for less at once: fewer rows, a smaller batch or backbone; runs resume with --resume.",
    )


def _called() -> int:
    """The exit code of the verb, 2 for a call that has no meaning, 130 after Ctrl-C; typer leaves with SystemExit.

    Raises:
        BrokenPipeError: the reader of our output left; typer makes that an exit with 1, as of a failure.
    """
    try:
        app()
    except SystemExit as leaving:
        if isinstance(leaving.__context__, BrokenPipeError):
            raise leaving.__context__ from None
        return int(leaving.code or 0)
    return 0


def _bug(error: Exception) -> int:
    details = printable(f"{' '.join(sys.argv)}\n\n{''.join(traceback.format_exception(error))}")
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="tunesmith-bug-", suffix=".txt", encoding="utf-8", delete=False
        ) as file:
            file.write(details)
        where = f"in {file.name}"
    except OSError:
        sys.stderr.write(details)
        where = "above"
    said = f"{type(error).__name__}: {error}"
    err.print(f"[red]error[/] this is a bug in tunesmith: {plain(said)}", highlight=False)
    err.print(f"[green]fix[/]   please report it with the details {plain(where)}", highlight=False, soft_wrap=True)
    return 70


if __name__ == "__main__":
    main()
