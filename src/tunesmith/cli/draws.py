"""`tunesmith train --draws`: one few-shot run over several draws of its rows, and how much the draw moves it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer

from tunesmith.cli.output import emit, out, plain, table
from tunesmith.cli.watching import ran_all
from tunesmith.core.errors import UsageError

if TYPE_CHECKING:
    from tunesmith.run.draws import Draws, Spread


def train_draws(
    file: Path, *, draws: int, folder: Path | None, data: Path | None, assignments: Sequence[str], as_json: bool
) -> NoReturn:
    """Run every draw in a process and a folder of its own; go on where an earlier call was stopped.

    Raises:
        UsageError: the configuration says nothing of shots and names no draws.
        ConfigError, MissingInputError: what is wrong with any of the draws.
    """
    from tunesmith.run.cells import require_same_cells
    from tunesmith.run.config import origins, overridden, parsed, read_table, require_files
    from tunesmith.run.draws import draw_cells, over_draws
    from tunesmith.run.draws_page import write_draws_page
    from tunesmith.run.folder import write_json

    given = overridden(read_table(file), assignments)
    base = (data or file.parent).resolve()
    config = parsed(given, folder=base)
    if not config.data.shots and not config.data.draws:
        raise UsageError(
            "there is nothing to draw",
            code="TS-CLI-006",
            fix="say how many rows of each label (--shots 8), or name the files of each draw (data.draws).",
        )
    shots = f"{config.data.shots}-shot" if config.data.shots else "draws"
    target = folder or Path("runs") / f"{file.stem}-{shots}"
    todo = draw_cells(config, given, draws=draws, folder=target)
    for cell in todo:
        require_files(parsed(cell.table, folder=base))
    require_same_cells(todo, base=base)
    sources = origins(config.as_table(), read_table(file), assignments)
    failures, signal = ran_all(todo, folder=base, origins=sources, doing_what="drawing", quiet=as_json)
    found = over_draws(todo, failures=failures)
    if found is not None:
        write_json(target / "draws.json", found.as_record())
        write_draws_page(found, target / "draws.html", title=target.name)
    if as_json:
        emit(found.as_record() if found else {"draws": [], "missing": failures})
    else:
        _print(found, failures, target)
    raise typer.Exit(signal or (0 if found and not found.missing else 1))


def _print(found: "Draws | None", failures: Mapping[str, str], target: Path) -> None:
    from tunesmith.cli import run_words as words
    from tunesmith.judge.truth import METRIC_NAMES

    if found is not None:
        name, _ = METRIC_NAMES.get(found.metric, (found.metric, ""))
        rival = found.rival or "no baseline"
        lines = [
            (
                f"draw {row.draw}",
                words.count(row.rows),
                f"{row.score.value:.3f} [{row.score.low:.3f}, {row.score.high:.3f}]",
                "" if row.baseline is None else f"{row.baseline:.3f}",
                words.duration(row.seconds),
            )
            for row in found.rows
        ]
        heading = f"{name} of each draw on the same {found.test_rows:,} test rows"
        out.print(table(heading, ("draw", "rows", "score", rival, "time"), lines))
        whole = found.on_other_rows
        out.print(
            f"  mean over draws   [bold]{found.score.mean:.3f}[/]{_spread(found.score)}, "
            f"on other test rows {whole.low:.3f} to {whole.high:.3f}",
            highlight=False,
        )
        if found.baseline:
            out.print(f"  {rival:<18}{found.baseline.mean:.3f}{_spread(found.baseline)}", highlight=False)
            out.print(f"  above it in {found.above} of {len(found.rows)} draws", highlight=False)
        out.print(f"\nwritten to {plain(target)}: draws.html, draws.json, and a folder for each draw", highlight=False)
    for cell, why in (found.missing if found else failures).items():
        out.print(f"[yellow]not finished[/]  {plain(cell)}: {plain(why)}", highlight=False)


def _spread(score: "Spread") -> str:
    if score.deviation is None:
        return ""
    return f" ± {score.deviation:.3f} ({min(score.values):.3f} to {max(score.values):.3f})"
