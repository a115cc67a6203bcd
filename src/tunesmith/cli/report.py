"""`tunesmith report`: what a run achieved, computed again from its stored predictions."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer
from rich.markup import escape

from tunesmith.cli.output import emit, out, table

MOODS = {"better": "green", "unproven": "yellow", "worse": "red", "alone": "yellow"}
MOST_LABELS = 30


def report(
    run: Path = typer.Argument(..., help="The folder of a finished run.", metavar="RUN"),
    as_json: bool = typer.Option(False, "--json", help="Print report.json."),
    open_page: bool = typer.Option(False, "--open", help="Open report.html in the browser."),
) -> None:
    """Rebuild report.json and report.html from stored predictions and print the result.

    Needs neither the model nor the data files, and makes no request.
    """
    from tunesmith.judge.rebuild import rebuilt

    found = rebuilt(run)
    page = (run / "report.html").resolve()
    if as_json:
        emit(found)
    else:
        _show(found)
        out.print(f"\nPage: {escape(str(page))}", highlight=False, soft_wrap=True)
    if open_page:
        import webbrowser

        webbrowser.open(page.as_uri())


def _show(found: Mapping[str, Any]) -> None:
    from tunesmith.judge.errors_table import visible

    split = found["splits"][found["headline_split"]]
    out.print(f"[bold {MOODS[found['verdict']]}]{escape(found['headline'])}[/]\n", highlight=False)
    rivals = split["baselines"]
    rows = [
        [name, metric["value"], _range(metric), *(_value(rival, name) for rival in rivals.values())]
        for name, metric in split["metrics"].items()
    ]
    heading = f"{visible(found['name'] or found['task'])} on {found['headline_split']}, {split['n']:,} rows"
    out.print(table(heading, ("metric", "model", "95% interval", *rivals), rows))
    labels = sorted(split["labels"], key=lambda row: (-row["gold"], row["label"]))
    for part in dict.fromkeys(row.get("part", "") for row in split["labels"]):  # labels of texts, types of entities
        _show_labels([row for row in labels if row.get("part", "") == part], part)


def _show_labels(labels: list[Mapping[str, Any]], part: str) -> None:
    from tunesmith.judge.errors_table import visible

    columns = (part or "label", "f1", "95% interval", "precision", "recall", "gold", "predicted")
    lines = [
        [
            visible(row["label"]),
            row["f1"]["value"],
            _range(row["f1"]),
            *(row[name] for name in ("precision", "recall", "gold", "predicted")),
        ]
        for row in labels[:MOST_LABELS]
    ]
    out.print(table("", columns, lines))
    if len(labels) > MOST_LABELS:
        out.print(f"... and {len(labels) - MOST_LABELS} more labels in report.html", highlight=False)


def _range(metric: Mapping[str, float]) -> str:
    return f"{metric['low']:.3f} - {metric['high']:.3f}"


def _value(rival: Mapping[str, Any], name: str) -> float | str:
    metric = rival["metrics"].get(name)
    return metric["value"] if metric else "-"
