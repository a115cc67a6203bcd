"""What several runs one after the other do, as a terminal shows it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.cli.output import err, plain

if TYPE_CHECKING:
    from tunesmith.run.cells import Cell, CellEvent


def ran_all(
    todo: "Sequence[Cell]", *, folder: Path, origins: Mapping[str, str], doing_what: str, quiet: bool
) -> tuple[dict[str, str], int]:
    """Run every cell, and show it: why each that did not finish did not, by its name, and the exit code of a signal."""
    from tunesmith.run.cells import Ended, ran
    from tunesmith.run.stopping import stop_wishes

    failures: dict[str, str] = {}
    with stop_wishes() as wish, _watching(len(todo), doing_what=doing_what, quiet=quiet) as show:
        for event in ran(todo, folder=folder, origins=origins, should_stop=wish):
            show(event)
            if isinstance(event, Ended) and event.outcome != "finished":
                failures[event.cell.name] = f"{event.outcome}: {event.detail}"
    return failures, wish.exit_code


@contextmanager
def _watching(total: int, *, doing_what: str, quiet: bool) -> Iterator[Callable[["CellEvent"], None]]:
    """Give a function that shows what the runs do: one line in place in a terminal, a line for each run elsewhere."""
    from tunesmith.cli.counting import doing
    from tunesmith.run.cells import Doing

    with doing(doing_what, quiet=quiet) as tell:

        def show(event: "CellEvent") -> None:
            where = f"[{event.number}/{total}] {event.cell.name}"
            if isinstance(event, Doing):
                share = "" if event.done is None else f"{event.done:.0%}, "
                tell(f"{where}: {share}{event.said}")
            elif not quiet:
                detail = f" ({event.detail})" if event.detail else ""
                err.print(plain(f"{where}: {event.outcome}{detail}"), highlight=False)

        yield show
