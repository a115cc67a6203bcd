"""`tunesmith runs show`: one run told in full, from its files alone."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer
from rich.table import Table

from tunesmith.cli.output import emit, out, plain, table
from tunesmith.cli.plot import WIDTH, bars, plotted

if TYPE_CHECKING:
    from tunesmith.run.account import Account
    from tunesmith.run.result import Result

HEIGHT: Final = 7
"""Lines of the learning curve."""


def show(
    run: Path = typer.Argument(..., help="A run folder, or the name of one in runs/.", metavar="RUN"),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Tell of one run: its configuration, data, scores, learning curve, cost, environment, and what to type next.

    Any state will do. Of the configuration only what somebody set is shown.
    """
    from tunesmith.cli import run_words as words
    from tunesmith.run.account import account
    from tunesmith.run.stored_run import named_run

    told = account(named_run(run))
    if as_json:
        emit(told.as_record())
        return
    row, result = told.row, told.run.result
    detail = f"  {plain(words.strange(row.detail))}" if row.detail else ""
    out.print(f"[bold]{plain(words.strange(row.name))}[/]  ", words.state(row), detail, sep="", highlight=False)
    if result:
        out.print(plain(words.strange(result.headline)), highlight=False)
    made = ", ".join(words.strange(part) for part in (row.task, row.method, row.backbone) if part)
    out.print(f"{plain(made or 'nothing is known of its task')}; began {words.moment(row.began)}\n", highlight=False)
    if told.chosen:
        lines = [(words.strange(key), words.value(value), words.strange(origin)) for key, value, origin in told.chosen]
        out.print(table("Configuration, where it is not the default", ("key", "value", "from"), lines))
    if told.splits:
        out.print(table("Data", ("split", "rows", "file", "fingerprint"), list(_data(told))))
    if result:
        out.print(_scores(result))
    for line in _curve(told.curves, max(min(WIDTH, out.width - 10), 20)):
        out.print(line, highlight=False, markup=False)
    for line in _facts(told):
        out.print(line, highlight=False)
    for name, path in told.files.items():  # unbroken, to be copied; the same goes for the commands
        out.print(f"[bold]{name.capitalize():<11}[/]  {plain(words.strange(path))}", highlight=False, soft_wrap=True)
    out.print("\n[bold]Next[/]")
    for command, purpose in told.commands:
        out.print(f"  {plain(words.strange(command))}  [dim]# {plain(purpose)}[/]", highlight=False, soft_wrap=True)


def _data(told: "Account") -> Iterator[tuple[object, ...]]:
    from tunesmith.cli import run_words as words

    for split, rows, file, fingerprint in told.splits:
        known = rows if rows is not None else words.UNKNOWN
        yield split, known, words.value(file) if file else "taken from train", words.strange(fingerprint or "")[:12]


def _scores(result: "Result") -> Table:
    from tunesmith.cli.run_words import strange

    rivals = list(dict.fromkeys(rival for split in result.splits.values() for rival in split.baselines))
    rows = []
    for name, split in result.splits.items():
        for metric, found in split.metrics.items():
            theirs = [split.baselines.get(rival, {}).get(metric) for rival in rivals]
            numbers = [f"{one.value:.3f}" if one else "-" for one in theirs]
            rows.append(
                (strange(name), strange(metric), f"{found.value:.3f}", f"{found.low:.3f} - {found.high:.3f}", *numbers)
            )
    return table("Scores", ("split", "metric", "model", "95% interval", *map(strange, rivals)), rows)


def _curve(curves: Mapping[str, Any], width: int) -> Iterator[str]:
    """The scores on dev as points and, on the same steps, the loss as bars."""
    scored = [(one["step"], one["metrics"]) for one in curves["evaluations"] if one["metrics"]]
    losses = [(one["step"], one["loss"]) for one in curves["steps"] if "loss" in one]
    steps = [step for step, _ in (*scored, *losses)]
    if len(steps) < 2:
        return
    span = (min(steps), max(steps))
    if scored:
        metric = next(iter(scored[-1][1]))
        points = [(step, metrics[metric]) for step, metrics in scored if metric in metrics]
        values = [value for _, value in points]
        yield f"\n{metric} on dev"
        yield from plotted(points, bottom=min(values), top=max(values), size=(width, HEIGHT), span=span)
    if losses:
        yield f"    loss  {bars(losses, span=span, width=width)}"
        first, last = f"step {span[0]}", str(span[1])
        ends = f"{losses[0][1]:.3f} to {losses[-1][1]:.3f}"
        yield f"{' ' * 10}{first}{ends:^{width - len(first) - len(last)}}{last}"


def _facts(told: "Account") -> Iterator[str]:
    from tunesmith.cli import run_words as words
    from tunesmith.run.difference import conditions

    row = told.row
    parts = (
        f"{words.duration(row.seconds)} in steps",
        f"{words.count(row.tokens_per_second)} tokens/s",
        f"{words.count(row.peak_rss_mb)} MB at most",
        *([f"{words.count(row.peak_gpu_mb)} MB of the GPU"] if row.peak_gpu_mb else []),
    )
    yield f"\n[bold]Cost[/]         {', '.join(parts)}"
    known = conditions(told.run)
    yield f"[bold]Environment[/]  {plain(words.strange(', '.join(_environment(known))))}"


def _environment(known: Mapping[str, Any]) -> Sequence[str]:
    packages = "packages."
    versions = [f"{name.removeprefix(packages)} {known[name]}" for name in known if name.startswith(packages)]
    threads = f"{known['threads']} thread(s)" if known.get("threads") else ""
    machine = [str(known.get(name) or "") for name in ("processor", "gpu", "device", "precision")]
    python = f"Python {known['python']}" if "python" in known else ""
    return [part for part in (*machine, threads, python, *versions) if part] or ["not known"]
