"""`tunesmith predict`: a file or standard input to answers, in the order of the rows."""

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import typer

from tunesmith.cli.output import emit, refuse_folder
from tunesmith.cli.search_options import CANDIDATES, INDEX, RELEVANT, RERANKER


def predict(
    bundle: Path = typer.Argument(..., help="The bundle that training wrote, e.g. runs/NAME/bundle.", metavar="BUNDLE"),
    file: Path = typer.Argument(..., help="Plain lines, JSONL or CSV/TSV; - reads standard input.", metavar="FILE"),
    out: Path = typer.Option(None, "--out", help="File to write; standard output otherwise."),
    form: Literal["jsonl", "csv"] = typer.Option("jsonl", "--format", help="Form of the answers."),
    kind: Literal["auto", "text", "jsonl", "csv", "tsv"] = typer.Option(
        "auto", "--input", help="Form of the rows; by the file's ending unless given, plain lines from a pipe."
    ),
    text_column: str = typer.Option("text", "--text-column", help="Key or column of the text."),
    pair_column: str = typer.Option(
        "pair", "--pair-column", help="Key or column of the second text, or of the question."
    ),
    id_column: str = typer.Option("id", "--id-column", help="Key or column of the row's id; line numbers otherwise."),
    encoding: str = typer.Option(None, "--encoding", help="Encoding of the file; detected unless given."),
    scores: bool = typer.Option(None, "--scores/--no-scores", help="Every label's probability; on for JSONL."),
    precision: Literal["fp32", "bf16", "auto"] = typer.Option(
        "fp32", "--precision", help="fp32 as in the report; bf16: about half the time; auto: what is faster here."
    ),
    adapter: str = typer.Option(None, "--adapter", help="Which model answers, where the bundle holds several."),
    index: Literal["exact", "faiss"] = INDEX,
    reranker: Path = RERANKER,
    candidates: int = CANDIDATES,
    relevant: str = RELEVANT,
    skip_bad: Path = typer.Option(None, "--skip-bad", help="Write rows that cannot be read here and go on."),
    as_json: bool = typer.Option(False, "--json", help="Print the counts as one JSON object (needs --out)."),
) -> None:
    """Answer every row of a file, in its order.

    Entities and answers come as character offsets with confidences. In plain lines a tab parts two texts, or a text
    and the question about it. A blank row keeps its place and has no answer. JSONL has the fields of training data,
    so that it can be corrected by hand and trained on; in CSV, lists are JSON in a cell.
    """
    from tunesmith.bundle import bulk
    from tunesmith.bundle.opening import one_model
    from tunesmith.bundle.predictor import reads_pairs
    from tunesmith.bundle.questions import Columns, Questions, file_lines, kind_of
    from tunesmith.bundle.reranking import Stages
    from tunesmith.cli.counting import counting
    from tunesmith.cli.output import err, plain
    from tunesmith.core.errors import DataError, UsageError

    if as_json and out is None:
        raise UsageError("--json would mix with the answers", code="TS-BUNDLE-033", fix="give --out FILE with --json.")
    refuse_folder(out, "--out")
    refuse_folder(skip_bad, "--skip-bad")
    piped = str(file) == "-"
    source = _piped_lines() if piped else file_lines(file, encoding)
    stages = Stages(index, reranker, candidates, relevant)
    predictor = one_model(bundle, adapter=adapter, precision=precision, stages=stages)
    pairs, counts = reads_pairs(predictor.bundle.task), bulk.Counts()
    with_scores = form == "jsonl" if scores is None else scores
    columns = bulk.columns_of(predictor, pairs=pairs, scores=with_scores)
    with bulk.output(skip_bad, sys.stderr) as bad:

        def reject(error: DataError, row: str) -> None:
            counts.rejected += 1
            bad(bulk.reject_line(error, row))

        reader = Questions(
            ("text" if piped else kind_of(file)) if kind == "auto" else kind,
            file="standard input" if piped else str(file),
            columns=Columns(text_column, pair_column, id_column),
            pairs=pairs,
            reject=reject if skip_bad is not None else None,
        )
        found = bulk.answers(predictor, reader.read(source), counts)
        with bulk.output(out, sys.stdout) as write, counting("predicting", quiet=as_json) as tell:
            for line in bulk.lines(found, form, columns=columns, scores=with_scores):
                write(line)
                tell(counts.read)
    collection = predictor.bundle.collection
    if collection and collection.index:
        err.print(plain(collection.index.account), highlight=False)
    _close(counts.as_record(), out, skip_bad, as_json, precision=predictor.bundle.precision)


def _piped_lines() -> Iterator[str]:
    """Standard input as UTF-8 whose bad bytes the row reports, with the line ends it has."""
    yield from io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8-sig", errors="surrogateescape", newline="")


def _close(counts: dict[str, int], out: Path | None, skip_bad: Path | None, as_json: bool, *, precision: str) -> None:
    """Say what was done where it does not mix with the answers."""
    from tunesmith.cli.output import err, plain

    if as_json:
        emit({"out": str(out), "precision": precision, **counts})
        return
    rejected = f", {counts['rejected']:,} skipped into {plain(skip_bad)}" if skip_bad else ""
    blank = f", {counts['blank']:,} blank" if counts["blank"] else ""
    where = f" -> {plain(out)}" if out else ""
    how = "" if precision == "fp32" else f" in {precision}"
    err.print(f"{counts['answered']:,} answered{how}{blank}{rejected}{where}", highlight=False)
