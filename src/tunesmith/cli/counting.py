"""Signs of life for work whose end is not known: a spinner in a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tunesmith.cli.output import err, plain

EVERY_SECONDS = 0.2
PLAIN_SECONDS = 5.0


@contextmanager
def counting(what: str, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """Give a function that is told how many rows are done; it shows that on standard error, at most so often."""
    if quiet:
        yield lambda done: None
        return
    begin = last = time.monotonic()
    if err.is_terminal:
        with err.status(what) as status:

            def show(done: int) -> None:
                nonlocal last
                now = time.monotonic()
                if now - last >= EVERY_SECONDS:
                    last = now
                    status.update(f"{what}  {done:,} rows  {done / (now - begin):,.0f} rows/s")

            yield show
        return

    def line(done: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= PLAIN_SECONDS:
            last = now
            err.print(f"{what}  {done:,} rows  {done / (now - begin):,.0f} rows/s", highlight=False)

    yield line


@contextmanager
def doing(what: str, *, quiet: bool) -> Iterator[Callable[[str], None]]:
    """Give a function that is told what is being done; it shows that on standard error, in a terminal in one place."""
    if quiet:
        yield lambda said: None
        return
    if err.is_terminal:
        with err.status(what) as status:
            yield lambda said: status.update(f"{what}  {plain(said)}")
        return
    last = 0.0

    def line(said: str) -> None:
        nonlocal last
        if time.monotonic() - last >= PLAIN_SECONDS:
            last = time.monotonic()
            err.print(f"{what}  {plain(said)}", highlight=False)

    yield line
