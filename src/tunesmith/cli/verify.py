"""`tunesmith verify`: every byte of a bundle, and the golden rows recomputed in this fresh process."""

from pathlib import Path
from typing import Literal

import typer

from tunesmith.cli.output import emit, out, plain


def verify(
    bundle: Path = typer.Argument(..., help="The bundle that training wrote.", metavar="BUNDLE"),
    index: Literal["exact", "faiss"] = typer.Option(
        "exact", "--index", help="With faiss, make the index of a search and say how much of exact search it finds."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Recompute every digest and every golden row of a bundle.

    Exit code 65 names the file that was changed, or the row that is no longer answered as it was.
    """
    from tunesmith.bundle.verify import verify as checked

    found = checked(bundle, index=index)
    if as_json:
        emit(found.as_record())
        return
    out.print(f"[green]ok[/] {plain(found.name)}  [dim]{found.sha256}[/]", highlight=False)
    out.print(
        f"   {found.files} files are to the byte what was written, {found.golden_rows} golden rows are answered "
        f"as they were, {found.seconds:.2f} s",
        highlight=False,
    )
    if found.adapters:
        each = ", ".join(f"{plain(name)} {rows}" for name, rows in found.adapters.items())
        out.print(f"   {each}", highlight=False)
    if found.index:
        out.print(f"   {plain(found.index)}", highlight=False)
