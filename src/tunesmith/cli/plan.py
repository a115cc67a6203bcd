"""`tunesmith train --plan`: what a run will take, and what would make it fit, as tables or as one JSON object."""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer
from rich.text import Text

from tunesmith.cli.counting import doing
from tunesmith.cli.output import STATUS, emit, out, plain, table
from tunesmith.core.byte_size import in_words

if TYPE_CHECKING:
    from tunesmith.run.figure import Figure
    from tunesmith.run.forecast import Forecast
    from tunesmith.run.lesson_forecast import LessonForecast
    from tunesmith.run.plan import Plan

FITS: Final = {
    "yes": (STATUS["ok"], "fits"),
    "perhaps": (STATUS["warn"], "may not fit"),
    "no": (STATUS["fail"], "does not fit"),
}
COLOURS: Final = {"yes": "green", "perhaps": "yellow", "no": "red"}


def plan(
    given: Mapping[str, Any], *, folder: Path, target: Path, memory: int | None, command: Sequence[str], as_json: bool
) -> None:
    """Plan the run of a configuration's table and print the plan; leaves with 130 or 143 after a signal.

    `command` is what starts the run itself: it is told again with what makes the run fit.
    """
    from tunesmith.run.plan import planned
    from tunesmith.run.prober import CutShort
    from tunesmith.run.stopping import stop_wishes

    with stop_wishes() as wish:
        try:
            with doing("planning", quiet=as_json) as tell:
                made = planned(given, folder=folder, target=target, memory=memory, tell=tell, should_stop=wish)
        except CutShort:
            raise typer.Exit(wish.exit_code) from None
    if as_json:
        emit(made.as_record())
        return
    if made.forecast:
        _show(made.forecast, made)
    show_fit(made, command)


def _show(made: "Forecast", whole: "Plan") -> None:
    rows = [
        ("time", *_span(made.seconds, _seconds)),
        (f"memory, most while {made.heaviest}", *_span(made.memory, in_words)),
        *([("memory of the GPU", *_span(made.device_memory, in_words))] if made.device_memory else []),
        ("disk while running, at most", *_span(made.running, in_words)),
        ("disk of the bundle", *_span(made.bundle, in_words)),
    ]
    out.print(table("What the run will take", ("", "about", "between"), rows))
    stages = [(name, _right(_seconds(seconds))) for name, seconds in made.stages.items()]
    out.print(table("Where the time goes", ("stage", "time"), stages))
    for lesson in made.lessons:
        for line in _told(lesson):
            out.print(line, highlight=False)
    where = f"{made.precision} on {made.device}"
    out.print(f"{where}; planned in {_seconds(whole.took)}", highlight=False)
    if made.waited > 1.1:
        out.print(
            f"[yellow]others use this machine[/]: a step took {made.waited:.1f} times the processor time it needed, "
            "hence the wide interval of the time",
            highlight=False,
        )


def _told(lesson: "LessonForecast") -> Iterator[str]:
    steps = f"{lesson.steps.value:,.0f} steps"
    if lesson.steps.low < lesson.steps.high:
        steps += f" ({lesson.steps.low:,.0f} to {lesson.steps.high:,.0f})"
    counts = (f"{lesson.epochs:.3g} epochs", f"{lesson.evaluations} evaluations", f"states saved: {lesson.saves}")
    yield f"{lesson.name}: {', '.join((steps, *counts))}"
    if lesson.patience is not None:
        yield f"  at most: {lesson.patience} evaluations without a better score end it early"
    if lesson.pieces > 1:
        yield f"  [yellow]memory ran out[/]: batches go through in {lesson.pieces} pieces"


def show_fit(made: "Plan", command: Sequence[str]) -> None:
    """Print whether the run fits, and, where that is in doubt, what was tried and what to type next."""
    limits = made.limits
    if limits.memory is not None:
        mark, words = FITS[made.fits]
        source = "as named" if limits.named else "free now"
        out.print(f"{mark} it {words} into memory: {in_words(limits.memory)}, {source}", highlight=False)
    if made.forecast and made.forecast.running.high > limits.disk:
        out.print(f"[red]the disk is too full[/]: {in_words(limits.disk)} are free there", highlight=False)
    if not made.remedies:
        return
    rows = []
    for remedy in made.remedies:
        figures = remedy.forecast
        memory = _between(figures.memory, in_words) if figures else "more than there is"
        seconds = _right(_seconds(figures.seconds.value) if figures else "-")
        rows.append((Text(remedy.fits, COLOURS[remedy.fits]), memory, seconds, "\n".join(remedy.settings)))
    out.print(table("What was tried, first what costs least", ("fits", "memory", "time", "with"), rows))
    last = made.remedies[-1]
    if last.fits == "yes":
        again = [*command, *(word for setting in last.settings for word in ("--set", setting))]
        out.print(f"[bold]Next[/]  {plain(shlex.join(again))}", highlight=False, soft_wrap=True)
        return
    out.print("nothing that was tried is sure to fit: shorten task.max_length, or take a smaller backbone")


def _span(figure: "Figure", words: Callable[[float], str]) -> tuple[Text, Text]:
    return _right(words(figure.value)), _right(_between(figure, words))


def _between(figure: "Figure", words: Callable[[float], str]) -> str:
    return f"{words(figure.low)} - {words(figure.high)}"


def _right(text: str) -> Text:
    return Text(text, justify="right")


def _seconds(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
