"""What several runs one after the other do, as a terminal shows it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tunesmith.cli.output import err, plain

if TYPE_CHECKING:
    from tunesmith.run.cells import CellEvent


@contextmanager
def watching(total: int, *, doing_what: str, quiet: bool) -> Iterator[Callable[["CellEvent"], None]]:
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
