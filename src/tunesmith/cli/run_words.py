"""How the facts of runs are worded in a terminal: states, scores, times, values of a configuration."""

import json
from datetime import datetime
from typing import Any, Final

from rich.text import Text

from tunesmith.cli.output import printable
from tunesmith.judge.errors_table import visible
from tunesmith.run.catalogue import Row, Score

COLOURS: Final = {
    "running": "cyan",
    "finished": "green",
    "stopped": "yellow",
    "interrupted": "yellow",
    "broken": "red",
}
UNKNOWN: Final = "-"
LONGEST: Final = 60
"""Characters of a value; lists of labels can be long."""


def strange(text: object) -> str:
    """A text that is not ours, fit to be printed: nothing in it drives the terminal."""
    return visible(printable(str(text)))


def state(row: Row) -> Text:
    """The state in its colour; of a running one also how far it is."""
    share = f" {row.done:.0%}" if row.state == "running" and row.done is not None else ""
    return Text(f"{row.state}{share}", style=COLOURS[row.state])


def score(found: Score | None) -> str:
    """`0.912 [0.893, 0.930]`, or `dev 0.904` for what the loop scored on the way."""
    if found is None:
        return UNKNOWN
    marked = "" if found.split == "test" else f"{found.split} "
    interval = f" [{found.low:.3f}, {found.high:.3f}]" if found.low is not None else ""
    return f"{marked}{found.value:.3f}{interval}"


def duration(seconds: float | None) -> str:
    """`68 s`, `12 min`, `2.1 h`."""
    if seconds is None:
        return UNKNOWN
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def right(text: str) -> Text:
    """A number that was put into words, to the right of its column."""
    return Text(text, justify="right")


def moment(began: float | None) -> str:
    """`11-26 03:27` by the clock of this machine, `2025-11-26` where that is another year."""
    if began is None:
        return UNKNOWN
    try:
        then = datetime.fromtimestamp(began)
        return f"{then:%m-%d %H:%M}" if then.year == datetime.now().year else f"{then:%Y-%m-%d}"
    except (OverflowError, OSError, ValueError):  # no time that there is
        return UNKNOWN


def count(number: float | None, unit: str = "") -> str:
    """`1,547 MB`"""
    return UNKNOWN if number is None else f"{number:,.0f}{unit}"


def value(given: Any) -> str:  # noqa: ANN401 - any JSON value
    """A value of a configuration on one line, cut where it is long."""
    text = strange(given if isinstance(given, str) else json.dumps(given, ensure_ascii=False))
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
