"""`tunesmith runs diff`: two runs side by side, the verdict first."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from tunesmith.cli.output import emit, out, plain, table

if TYPE_CHECKING:
    from tunesmith.judge.paired_labels import LabelDifference
    from tunesmith.run.difference import Difference, Unlike
    from tunesmith.run.score_difference import ScoreDifference

MOODS: Final = {"a": "red", "b": "green", None: "yellow"}
MOST_LABELS: Final = 10
CHANCE: Final = 0.05
"""The share of labels whose interval leaves 0 out though nothing differs."""


def diff(
    first: Path = typer.Argument(..., help="A run folder, or the name of one in runs/.", metavar="A"),
    second: Path = typer.Argument(..., help="Another one.", metavar="B"),
    split: str = typer.Option("test", "--split", help="test or dev."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object."),
) -> None:
    """Say which of two runs is better, by how much, and whether it may be chance; then all they differ in.

    Compared are the stored answers to rows with equal id, text and gold, by a paired bootstrap interval and a paired
    test. A run is called better only where both say so. Every difference is B minus A.
    """
    from tunesmith.run.difference import difference
    from tunesmith.run.stored_run import named_run

    found = difference(named_run(first), named_run(second), split=_known(split))
    if as_json:
        emit(found.as_record())
        return
    out.print(f"[bold {MOODS[found.scores.winner]}]{plain(found.scores.sentence)}[/]\n", highlight=False)
    _legend(found)
    _scores(found.scores)
    _unlike("Configuration", found.config)
    _data(found)
    _unlike("Environment", found.environment)
    _costs(found)


def _known(split: str) -> str:
    from tunesmith.core.errors import UsageError

    if split not in ("test", "dev"):
        raise UsageError(f"no split {split!r}", code="TS-CLI-002", fix="answers are stored for test and dev.")
    return split


def _legend(found: "Difference") -> None:
    from tunesmith.cli import run_words as words

    for letter, row in (("A", found.a), ("B", found.b)):
        state = words.state(row)
        detail = f"  {plain(words.strange(row.detail))}" if row.detail else ""
        out.print(f"  [bold]{letter}[/]  {plain(words.strange(row.name))}  ", state, detail, sep="", highlight=False)
    out.print()


def _scores(scores: "ScoreDifference") -> None:
    from tunesmith.judge.truth import p_in_words

    if not scores.tests or scores.rows is None:
        return
    rows = [
        (test.metric, f"{test.second:.3f}", f"{test.first:.3f}", f"{test.difference:+.3f}",
         _interval(test.low, test.high), p_in_words(test.p_value).removeprefix("p ").removeprefix("= "))
        for test in scores.tests
    ]  # fmt: skip
    heading = f"{len(scores.rows.first):,} {scores.split} rows"
    out.print(table(heading, ("metric", "A", "B", "B - A", "95% interval", "p"), rows))
    if left_out := scores.rows.left_out():
        out.print(f"left out: {plain(left_out)}", highlight=False)
    if scores.right:
        both, ours, theirs, neither = scores.right.values()
        alone = f"{ours:,} by A alone, {theirs:,} by B alone"
        out.print(f"rows answered rightly: {both:,} by both, {alone}, {neither:,} by neither", highlight=False)
    moved = [one for one in scores.labels if one.difference.value]
    if moved:
        lines = [
            (_named(one), one.gold, f"{one.second:.3f}", f"{one.first:.3f}",
             f"{one.difference.value:+.3f}", _interval(one.difference.low, one.difference.high))
            for one in moved[:MOST_LABELS]
        ]  # fmt: skip
        out.print(table("F1 of each label", ("label", "gold", "A", "B", "B - A", "95% interval"), lines))
        for line in _beside(len(scores.labels), len(moved)):
            out.print(line, highlight=False)
    out.print()


def _named(one: "LabelDifference") -> str:
    """The label, and of which sort it is where there are two."""
    from tunesmith.cli.run_words import strange

    return strange(f"{one.label} ({one.part})" if one.part else one.label)


def _beside(labels: int, moved: int) -> Iterator[str]:
    if moved > MOST_LABELS:
        yield f"... and {moved - MOST_LABELS} more labels with --json"
    if chance := round(CHANCE * labels):
        yield f"of {labels} labels, about {chance} would leave 0 out of the interval by chance alone"


def _unlike(title: str, unlike: "tuple[Unlike, ...] | None") -> None:
    from tunesmith.cli.run_words import UNKNOWN, strange, value

    if unlike:
        rows = [
            (strange(one.key), *(UNKNOWN if side is None else value(side) for side in (one.a, one.b))) for one in unlike
        ]
        out.print(table(title, ("key", "A", "B"), rows))
    else:
        out.print(f"[bold]{title:<13}[/]  {'not known' if unlike is None else 'the same'}", highlight=False)


def _data(found: "Difference") -> None:
    words = {True: "the same rows", False: "other rows", None: "not known"}
    for one in found.data:
        counts = "" if one.a is None or one.b is None else f"{one.a:,}" if one.same else f"{one.a:,} and {one.b:,}"
        name = "Data" if one.split == "train" else ""
        out.print(
            f"[bold]{name:<13}[/]  {one.split:<5}  {words[one.same]}{f', {counts}' if counts else ''}", highlight=False
        )
    same = {True: "the same files", False: "other files", None: "not known"}[found.same_backbone]
    out.print(f"[bold]{'Backbone':<13}[/]  {same}", highlight=False)


def _costs(found: "Difference") -> None:
    from tunesmith.cli import run_words as words

    names = {"seconds": "seconds in steps", "tokens_per_second": "tokens/s", "peak_rss_mb": "MB at most"}
    names |= {"peak_gpu_mb": "MB of the GPU at most", "trainable_parameters": "parameters that learn"}
    rows = []
    for one in found.cost:
        if one.a is None and one.b is None:  # of runs without a GPU, say
            continue
        known = one.a and one.b
        ratio = f"{one.b / one.a:.2f}" if known else words.UNKNOWN
        rows.append((names[one.key], *(words.right(text) for text in (words.count(one.a), words.count(one.b), ratio))))
    out.print(table("Cost", ("", "A", "B", "B / A"), rows))


def _interval(low: float, high: float) -> str:
    return f"{low:+.3f} to {high:+.3f}"
