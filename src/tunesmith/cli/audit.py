"""`tunesmith audit`: what is wrong with the data, before a model learns it."""

from pathlib import Path

import typer
from rich.table import Table

from tunesmith.cli.output import STATUS, emit, out, plain, refuse_folder, table

SHOWN = 10
"""Rows printed under a finding; `--json` gives more."""


def audit(
    source: Path = typer.Argument(
        ..., help="A data file, a folder of splits, or a TOML configuration.", metavar="DATA|CONFIG"
    ),
    data: Path = typer.Option(None, "--data", help="Folder that the paths of a configuration are relative to."),
    assignments: list[str] = typer.Option(
        [], "--set", help="Override one key, e.g. --set data.limit=1000.", metavar="KEY=VALUE"
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
    page: Path = typer.Option(None, "--page", help="Also write the findings as one self-contained HTML page."),
) -> None:
    """Check labels, lengths and splits: counts, balance, alignment, duplicates, conflicts, leaks.

    Exit code 65 if a finding must be mended before training, else 0.
    """
    from tunesmith.run.audited import audited_source

    refuse_folder(page, "--page")
    report = audited_source(source, data=data, overrides=assignments)
    record = report.as_record()
    if page is not None:
        from tunesmith.judge.page import write_audit_page

        write_audit_page(record, page, title=str(source))
    if as_json:
        emit(record)
    else:
        out.print(f"[bold]Audit of {plain(source)}[/]")
        found = Table(box=None, show_header=False, pad_edge=False)
        for section in report.sections:
            found.add_row(STATUS[section.status], f"[bold]{section.title}[/]", plain(section.summary))
        out.print(found)
        for section in report.sections:
            if section.rows and section.status != "ok":
                columns = tuple(dict.fromkeys(key for row in section.rows for key in row))
                rows = [[row.get(column, "") for column in columns] for row in section.rows[:SHOWN]]
                out.print(table(section.title, columns, rows))
    raise typer.Exit(65 if report.status == "fail" else 0)
