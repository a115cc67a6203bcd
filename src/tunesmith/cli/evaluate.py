"""`tunesmith evaluate`: score a bundle on a labelled file."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from tunesmith.cli.output import emit, out, printable, refuse_folder, table
from tunesmith.cli.search_options import CANDIDATES, INDEX, RELEVANT, RERANKER

if TYPE_CHECKING:
    from tunesmith.run.reranked import Reranked


def evaluate(
    bundle: Path = typer.Argument(..., help="A bundle, or a run folder that holds one.", metavar="RUN|BUNDLE"),
    data: Path = typer.Argument(..., help="A labelled file.", metavar="DATA"),
    keep: Path = typer.Option(None, "--out", help="Keep the answers there, as JSONL."),
    options: list[str] = typer.Option(
        [], "--set", help="How to read the file, e.g. --set label=intent.", metavar="KEY=VALUE"
    ),
    adapter: str = typer.Option(None, "--adapter", help="Which model answers, where the bundle holds several."),
    index: Literal["exact", "faiss"] = INDEX,
    reranker: Path = RERANKER,
    candidates: int = CANDIDATES,
    relevant: str = RELEVANT,
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Answer every row and print the metrics with 95 % intervals, the same arithmetic as the report's.

    With a re-ranker the search answers alone as well, and a paired test says what the re-ranker brings.
    """
    from tunesmith.bundle.reranking import Stages
    from tunesmith.cli.counting import counting
    from tunesmith.run.config import overridden
    from tunesmith.run.evaluate import evaluated

    refuse_folder(keep, "--out")
    stages = Stages(index, reranker, candidates, relevant)
    with counting("answering", quiet=as_json) as progress:
        given = overridden({}, options)
        found = evaluated(bundle, data, out=keep, given=given, adapter=adapter, progress=progress, stages=stages)
    if as_json:
        more: dict[str, Any] = {"index": found.index} if found.index else {}
        more |= {"reranking": found.reranked.as_record()} if found.reranked else {}
        emit(found.scores.as_record() | more)
        return
    for note in (*found.notes, *([found.index] if found.index else [])):
        out.print(printable(f"  {note}"), highlight=False, markup=False)
    title = f"{found.scores.rows} rows of {data}"
    if found.reranked:
        _print_reranked(title, found.reranked)
        return
    rows = [(name, metric.value, metric.low, metric.high) for name, metric in found.scores.metrics.items()]
    out.print(table(title, ("metric", "value", "low", "high"), rows))


def _print_reranked(title: str, reranked: "Reranked") -> None:
    """Both stages side by side, with what the second changes."""
    columns = ("metric", "search", "re-ranked", "change", "low", "high", "p")
    rows = [
        (test.metric, test.second, test.first, test.difference, test.low, test.high, test.p_value)
        for test in reranked.tests
    ]
    out.print(reranked.sentence, highlight=False)
    out.print(table(title, columns, rows))
    within = f"{reranked.candidates} candidates hold {reranked.within:.3f} of the relevant documents"
    out.print(f"  {within}: no re-ranker finds more", highlight=False)
