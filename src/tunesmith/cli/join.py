"""`tunesmith join`: finished runs side by side in one bundle, over the backbone that they share."""

from pathlib import Path

import typer

from tunesmith.cli.output import emit, out, plain


def join(
    sources: list[str] = typer.Argument(
        ..., help="Run folders or bundles; NAME=FOLDER gives one another name.", metavar="[NAME=]RUN..."
    ),
    target: Path = typer.Option(..., "--out", help="The bundle to write; it must not exist yet."),
    backbone: str = typer.Option(
        None,
        "--backbone",
        help="Where the backbone lies now, if it was moved; 'BACKBONE + ADAPTER' if one lies under the runs.",
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Put several models into one bundle: the backbone once, and what each of them learnt beside it.

    The runs share a backbone and have learnt by lora, adalora, ia3, adapter, prefix, soft_prompt, bitfit or head_only;
    their tasks may differ. A new process answers the golden rows of each before the bundle appears. Requests then name
    who answers: `predict --adapter NAME`, `"adapter": "NAME"` over HTTP, `predict(text, adapter="NAME")` in Python.
    """
    from tunesmith.run.joining import joined

    manifest = joined(sources, out=target, backbone=backbone)
    sizes = {name: record.size for name, record in manifest.files.items()}
    own = {name: sum(size for file, size in sizes.items() if file.startswith(f"{name}/")) for name in manifest.adapters}
    shared = sum(sizes.values()) - sum(own.values())
    if as_json:
        emit({"out": str(target), "sha256": manifest.sha256, "backbone_bytes": shared, "adapters": own})
        return
    out.print(f"[green]ok[/] {plain(target)}  [dim]{manifest.sha256}[/]", highlight=False, soft_wrap=True)
    out.print(f"   {plain(manifest.base.name)} {shared / 1e6:.1f} MB", highlight=False)
    for name, size in own.items():
        out.print(f"   {plain(name)} {size / 1e6:.1f} MB", highlight=False)
