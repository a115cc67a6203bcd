"""How every command speaks: tables for a person, one JSON object for a program, errors in one shape for both."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TextIO

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from tunesmith.core.errors import CannotCreateError, Place, TunesmithError

STATUS: Final = {"ok": "[green]ok[/]", "warn": "[yellow]warn[/]", "fail": "[red]fail[/]"}


class _Console(Console):
    """Leaves to the caller what a reader who left means; rich would end the program with 1."""

    def on_broken_pipe(self) -> None:
        """Work goes on where nobody hears what is said beside it; without a reader of the answer it ends."""
        if not self.stderr:
            raise
        self.quiet = True
        silence(sys.stderr)


out: Final = _Console(emoji=False)
err: Final = _Console(stderr=True, emoji=False)
"""Without emoji: `:bell:` in a file name or a label is what it says."""


def silence(stream: TextIO) -> None:
    """Let whatever else goes to a stream vanish, so that what it still holds cannot fail when the process ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def printable(text: str) -> str:
    """The text with half characters escaped: a file name that is not UTF-8 holds them, and no stream takes them."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def plain(text: object) -> str:
    """A text that is not ours, fit to stand between our own marks: no bracket in it is one."""
    return escape(printable(str(text)))


def refuse_folder(path: Path | None, flag: str) -> None:
    """Refuse a folder where a file is to be written, before anything is computed for it.

    Raises:
        CannotCreateError: `path` is a folder.
    """
    if path is not None and path.is_dir():
        raise CannotCreateError(
            "is a folder, and a file is to be written",
            code="TS-CLI-001",
            place=Place(file=str(path)),
            fix=f"name a file with {flag}.",
        )


def emit(record: Mapping[str, Any]) -> None:
    """One JSON object on standard output."""
    sys.stdout.write(printable(f"{json.dumps(record, ensure_ascii=False, indent=2, allow_nan=False)}\n"))


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """A plain table; numbers to the right. A cell that is a `Text` keeps its own style."""
    made = Table(title=plain(title), title_justify="left", title_style="bold", header_style="dim")
    for index, column in enumerate(columns):
        numbers = all(isinstance(row[index], int | float) for row in rows) and bool(rows)
        made.add_column(column, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        made.add_row(*(_cell(cell) for cell in row))
    return made


def _cell(cell: object) -> str | Text:
    return cell if isinstance(cell, Text) else plain(f"{cell:.4g}" if isinstance(cell, float) else cell)


def failed(error: TunesmithError, *, as_json: bool) -> int:
    """Report a refusal and give its exit code."""
    if as_json:
        err.out(printable(json.dumps(error.as_record(), ensure_ascii=False)), highlight=False)
        return error.exit_code
    place = f"{plain(error.place)}: " if error.place and str(error.place) else ""
    err.print(f"[red]error[/] {place}{plain(error.message)} [dim]\\[{error.code}][/]", highlight=False)
    err.print(f"[green]fix[/]   {plain(error.fix)}", highlight=False)
    return error.exit_code
