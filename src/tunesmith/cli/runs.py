"""`tunesmith runs`: every run below a folder, one row each; its neighbours show one and compare two."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer
from rich.table import Table
from typer.core import TyperGroup

from tunesmith.cli import runs_diff, runs_show
from tunesmith.cli.output import emit, out, plain, table

if TYPE_CHECKING:
    from tunesmith.run.catalogue import Row

DROPPED_FIRST: Final = ("memory", "tokens/s", "backbone", "task", "method", "began", "time")
"""Columns that give way in a narrow terminal, in this order."""
SHARED: Final = ("task", "method", "backbone", "metric")
"""Columns that are said once above the table where all runs agree in them."""


class _Listing(TyperGroup):
    """`tunesmith runs FOLDER` means `tunesmith runs list FOLDER`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - typer keeps click to itself
        if not args or args[0] not in (*self.commands, "--help", "-h"):
            args = ["list", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_Listing,
    help="List runs, show one, compare two. `tunesmith runs [FOLDER]` is `tunesmith runs list [FOLDER]`.",
)


@app.command("list")
def listing(
    folder: Path = typer.Argument(Path("runs"), help="Where runs lie, up to three folders deep.", metavar="FOLDER"),
    order: str = typer.Option("began", "--sort", help="began (newest first), name, state, score or seconds."),
    task: str = typer.Option(None, "--task", help="Only runs of one kind of task.", metavar="KIND"),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """List the runs below a folder: state, score with its interval, cost.

    A score marked dev is the last one of a run that is not finished. A narrow terminal shows fewer columns; --json has
    all of them. Nothing is written.

    \b
    - running: a process holds its lock
    - finished: report and bundle are there
    - stopped: by a signal, after saving
    - interrupted: ended without saying so (killed, out of memory, an error)
    - broken: damaged, or no run; below the table stands why
    """
    from tunesmith.cli.run_words import strange
    from tunesmith.run.catalogue import catalogue

    rows = catalogue(folder, order=order, task=task)
    if as_json:
        emit({"folder": str(folder), "runs": [row.as_record() for row in rows]})
        return
    if not rows:
        kind = f" of task {task}" if task else ""
        out.print(f"no run{plain(kind)} in {plain(folder)}; `tunesmith train CONFIG` writes one", highlight=False)
        return
    columns = _columns(rows)
    shared = _shared(columns)
    named = ", ".join(f"{name} {value}" for name, value in shared.items() if value)
    title = f"{len(rows)} run{'s' if len(rows) > 1 else ''} in {strange(folder)}"
    out.print(f"[bold]{plain(title)}[/]{f', {plain(named)}' if named else ''}", highlight=False)
    out.print(_fitting({name: cells for name, cells in columns.items() if name not in shared}))
    for row in rows:
        if row.detail:
            out.print(f"[dim]{plain(strange(row.name))}[/]  {plain(strange(row.detail))}", highlight=False)


app.command("show")(runs_show.show)
app.command("diff")(runs_diff.diff)


def _columns(rows: Sequence["Row"]) -> dict[str, list[object]]:
    from tunesmith.cli import run_words as words

    cells: Mapping[str, Callable[[Row], object]] = {
        "run": lambda row: words.strange(row.name),
        "state": words.state,
        "task": lambda row: words.strange(row.task or words.UNKNOWN),
        "method": lambda row: words.strange(row.method or words.UNKNOWN),
        "backbone": lambda row: words.strange(row.backbone or words.UNKNOWN),
        "metric": lambda row: words.strange(row.score.metric) if row.score else words.UNKNOWN,
        "score": lambda row: words.score(row.score),
        "time": lambda row: words.right(words.duration(row.seconds)),
        "tokens/s": lambda row: words.right(words.count(row.tokens_per_second)),
        "memory": lambda row: words.right(words.count(row.peak_rss_mb, " MB")),
        "began": lambda row: words.moment(row.began),
    }
    return {name: [cell(row) for row in rows] for name, cell in cells.items()}


def _shared(columns: Mapping[str, Sequence[object]]) -> dict[str, str]:
    """The columns in which all runs agree, with the value; nothing where none of them knows it."""
    from tunesmith.cli.run_words import UNKNOWN

    values = {name: {str(cell) for cell in columns[name]} for name in SHARED}
    values["metric"] -= {UNKNOWN}  # without a score there is no metric either
    return {name: "".join(found - {UNKNOWN}) for name, found in values.items() if len(found) < 2}


def _fitting(columns: Mapping[str, Sequence[object]]) -> Table:
    """The table, with fewer columns where the terminal is narrow."""
    kept = dict(columns)
    unbounded = out.options.update(width=10_000)
    for name in ("", *DROPPED_FIRST):
        kept.pop(name, None)
        made = table("", list(kept), list(zip(*kept.values(), strict=True)))
        if out.measure(made, options=unbounded).maximum <= out.width:
            break
    return made
