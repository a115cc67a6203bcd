"""`tunesmith compare`: methods side by side on the same rows and seeds, and which to take under which budget."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from tunesmith.cli.output import emit, out, plain, table
from tunesmith.cli.watching import ran_all
from tunesmith.core.errors import UsageError

if TYPE_CHECKING:
    from tunesmith.run.comparison import Comparison, MethodRow

USUAL: Final = "full,head_only,adapter,prefix,lora,adalora,soft_prompt"
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
"""Of a variant, which is that of a folder too"""
WIDTH: Final = 40
"""Characters of a chart"""


def compare(
    file: Path = typer.Argument(..., help="A TOML configuration, as `tunesmith init` writes it.", metavar="CONFIG"),
    methods: str = typer.Option(USUAL, "--methods", help="Kinds of methods, with commas between them."),
    named: list[str] = typer.Option(
        [],
        "--variant",
        help="One more, a method with settings by a name of its own: wide='{kind=\"lora\", rank=16}'. May be repeated.",
        metavar="NAME=TABLE",
    ),
    seeds: int = typer.Option(3, "--seeds", min=1, help="Seeds of each: the configuration's and those after it."),
    folder: Path = typer.Option(
        None, "--out", help="Folder for the runs and the result; runs/<name of the configuration>-compare by default."
    ),
    data: Path = typer.Option(
        None, "--data", help="Folder that the data paths are relative to, instead of the configuration's."
    ),
    assignments: list[str] = typer.Option(
        [], "--set", help="Override one key for all, e.g. --set train.length='1 epoch'.", metavar="KEY=VALUE"
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object at the end, and no progress."),
) -> None:
    """Train the same rows with several methods and seeds, and say which is better and what each costs.

    Each run has a folder and a process of its own. Ctrl-C saves; the same command goes on, and does again what failed.

    The configuration's own method keeps its settings and learning rate; every other one gets its defaults. A variant
    has the settings that it names, and may name a learning_rate beside them. Exits with 1 where a run is not finished.

    In a terminal and in compare.html: score with interval and range over seeds, a paired test against the best, trained
    parameters, time, memory, size, and what to take under which budget.
    """
    kinds = _kinds(methods)
    variants = _variants(named)

    from tunesmith.run.cells import cells, require_same_cells
    from tunesmith.run.comparison import comparison
    from tunesmith.run.comparison_page import write_comparison_page
    from tunesmith.run.config import origins, overridden, parsed, read_table, require_files
    from tunesmith.run.folder import write_json

    given = overridden(read_table(file), assignments)
    base = (data or file.parent).resolve()
    config = parsed(given, folder=base)
    target = folder or Path("runs") / f"{file.stem}-compare"
    every = range(config.seed, config.seed + seeds)
    todo = cells(given, methods=kinds, variants=variants, seeds=every, folder=target)
    for cell in todo:
        require_files(parsed(cell.table, folder=base))  # what is wrong with any of them is said at once
    require_same_cells(todo, base=base)
    sources = origins(config.as_table(), read_table(file), assignments)
    failures, signal = ran_all(todo, folder=base, origins=sources, doing_what="comparing", quiet=as_json)
    found = comparison(todo, failures=failures)
    if found is not None:
        write_json(target / "compare.json", found.as_record())
        write_comparison_page(found, target / "compare.html", title=target.name)
    if as_json:
        emit(found.as_record() if found else {"methods": [], "missing": failures})
    else:
        _print(found, failures, target)
    raise typer.Exit(signal or (0 if found and not failures else 1))


def _kinds(methods: str) -> list[str]:
    from tunesmith.core.rooms import METHODS

    kinds = [kind.strip() for kind in methods.split(",") if kind.strip()]
    for kind in kinds:
        METHODS.component(kind, key="--methods")
    if len(set(kinds)) != len(kinds) or not kinds:
        raise UsageError(
            "each method is to be named once" if kinds else "no method is named",
            code="TS-CLI-005",
            fix=f"write --methods full,lora; there are: {', '.join(METHODS.kinds)}.",
        )
    return kinds


def _variants(named: Sequence[str]) -> dict[str, dict[str, object]]:
    from tunesmith.core.rooms import METHODS
    from tunesmith.run.config import overridden

    found: dict[str, dict[str, object]] = {}
    for variant in named:
        name, equals, _ = variant.partition("=")
        method = overridden({}, [variant]).get(name) if equals and NAME.fullmatch(name) else None
        if not isinstance(method, dict) or name in (*METHODS.kinds, *found):
            raise UsageError(
                f"not a variant of a method: {variant!r}",
                code="TS-CLI-008",
                fix="write a name that no method and no other variant has, and a TOML table with its kind: "
                "--variant wide='{kind=\"lora\", rank=16}'.",
            )
        METHODS.make({key: value for key, value in method.items() if key != "learning_rate"}, key=f"--variant {name}")
        found[name] = method
    return found


def _print(found: "Comparison | None", failures: Mapping[str, str], target: Path) -> None:
    from tunesmith.judge.truth import METRIC_NAMES

    if found is not None:
        name, _ = METRIC_NAMES.get(found.metric, (found.metric, ""))
        heading = f"{name} on the same test rows, mean over seeds"
        columns = ("method", "score", "seeds", "against the best", "trained", "time", "memory", "bundle")
        out.print(table(heading, columns, [_line(row) for row in found.rows]))
        out.print("\n".join(_chart(found)), highlight=False, markup=False)
        out.print()
        for budget, take in found.advice:
            out.print(f"  {budget:<24}[bold]{plain(take)}[/]", highlight=False)
        out.print(
            f"\nwritten to {plain(target)}: compare.html, compare.json, and a folder for each run", highlight=False
        )
    for name, why in failures.items():
        out.print(f"[yellow]not finished[/]  {plain(name)}: {plain(why)}", highlight=False)


def _line(row: "MethodRow") -> Sequence[object]:
    from tunesmith.cli import run_words as words
    from tunesmith.core.byte_size import in_words
    from tunesmith.judge.truth import p_in_words

    test = row.against_best
    against = "the best" if test is None else f"{test.difference:+.3f} [{test.low:+.3f}, {test.high:+.3f}]"
    verdict = "" if test is None else f", {p_in_words(test.p_value)}{' worse' if row.worse else ''}"
    memory = words.count(row.gpu_mb, " MB of the GPU") if row.gpu_mb else words.count(row.memory_mb, " MB")
    return (
        row.kind,
        f"{row.score.value:.3f} [{row.score.low:.3f}, {row.score.high:.3f}]",
        f"{row.lowest:.3f} to {row.highest:.3f}" if len(row.seeds) > 1 else "one",
        f"{against}{verdict}",
        words.right(words.count(row.trained)),
        words.right(words.duration(row.seconds)),
        words.right(memory),
        words.right(in_words(row.bundle_bytes)),
    )


def _chart(found: "Comparison") -> Iterator[str]:
    """Each score as a point in its interval, the best baseline as an upright line."""
    rival = max(found.baselines.items(), key=lambda item: item[1].value, default=None)
    values = [bound for row in found.rows for bound in (row.score.low, row.score.high)]
    values += [rival[1].value] if rival else []
    low, high = min(values), max(values)
    name = max(len(row.kind) for row in found.rows)

    def column(value: float) -> int:
        return round((value - low) / max(high - low, 1e-9) * (WIDTH - 1))

    for row in found.rows:
        line = [" "] * WIDTH
        if rival:
            line[column(rival[1].value)] = "┆"
        for at in range(column(row.score.low), column(row.score.high) + 1):
            line[at] = "─"
        line[column(row.score.value)] = "●"
        yield f"  {row.kind:<{name}}  {''.join(line).rstrip()}"
    yield f"  {'':<{name}}  {f'{low:.3f}':<{WIDTH - 5}}{high:.3f}"
    if rival:
        yield f"  ┆ {rival[0]} {rival[1].value:.3f}, the best baseline"
