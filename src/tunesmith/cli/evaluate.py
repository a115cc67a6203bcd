"""`tunesmith evaluate`: score a bundle on a labelled file."""

from pathlib import Path

import typer

from tunesmith.cli.output import emit, out, printable, refuse_folder, table


def evaluate(
    bundle: Path = typer.Argument(..., help="A bundle, or a run folder that holds one.", metavar="RUN|BUNDLE"),
    data: Path = typer.Argument(..., help="A labelled file.", metavar="DATA"),
    keep: Path = typer.Option(None, "--out", help="Keep the answers there, as JSONL."),
    options: list[str] = typer.Option(
        [], "--set", help="How to read the file, e.g. --set label=intent.", metavar="KEY=VALUE"
    ),
    adapter: str = typer.Option(None, "--adapter", help="Which model answers, where the bundle holds several."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Answer every row and print the metrics with 95 % intervals, the same arithmetic as the report's."""
    from tunesmith.cli.counting import counting
    from tunesmith.run.config import overridden
    from tunesmith.run.evaluate import evaluated

    refuse_folder(keep, "--out")
    with counting("answering", quiet=as_json) as progress:
        given = overridden({}, options)
        found = evaluated(bundle, data, out=keep, given=given, adapter=adapter, progress=progress)
    record = found.scores.as_record()
    if as_json:
        emit(record)
        return
    for note in found.notes:
        out.print(printable(f"  {note}"), highlight=False, markup=False)
    rows = [(name, metric.value, metric.low, metric.high) for name, metric in found.scores.metrics.items()]
    out.print(table(f"{found.scores.rows} rows of {data}", ("metric", "value", "low", "high"), rows))
