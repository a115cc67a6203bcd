"""How every command speaks: tables for a person, one JSON object for a program, errors in one shape for both."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tunesmith.core.errors import TunesmithError

STATUS: Final = {"ok": "[green]ok[/]", "warn": "[yellow]warn[/]", "fail": "[red]fail[/]"}
out: Final = Console()
err: Final = Console(stderr=True)


def emit(record: Mapping[str, Any]) -> None:
    """One JSON object on standard output."""
    sys.stdout.write(f"{json.dumps(record, ensure_ascii=False, indent=2, allow_nan=False)}\n")


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """A plain table; numbers to the right."""
    made = Table(title=escape(title), title_justify="left", title_style="bold", header_style="dim")
    for index, column in enumerate(columns):
        numbers = all(isinstance(row[index], int | float) for row in rows) and bool(rows)
        made.add_column(column, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        made.add_row(*(escape(f"{cell:.4g}" if isinstance(cell, float) else str(cell)) for cell in row))
    return made


def failed(error: TunesmithError, *, as_json: bool) -> int:
    """Report a refusal and give its exit code."""
    if as_json:
        sys.stderr.write(f"{json.dumps(error.as_record(), ensure_ascii=False)}\n")
        return error.exit_code
    place = f"{escape(str(error.place))}: " if error.place and str(error.place) else ""
    err.print(f"[red]error[/] {place}{escape(error.message)} [dim]\\[{error.code}][/]", highlight=False)
    if error.fix:
        err.print(f"[green]fix[/]   {escape(error.fix)}", highlight=False)
    return error.exit_code
