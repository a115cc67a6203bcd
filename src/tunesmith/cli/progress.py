"""How a run is watched: a live line in a terminal, plain lines in a log, or silence for `--json`."""

import time
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Any, Self

from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from tunesmith.cli.output import out
from tunesmith.run.events import Finished, Interrupted, Noted, Phase, RunEvent
from tunesmith.tune.events import Evaluated, Halved, Spiked, Started, Stepped, Stopped

EVERY_SECONDS = 5.0
"""Between two plain lines of progress."""


class Watch(ABC):
    """Shows the events of a run."""

    def __init__(self) -> None:
        self.score: float | None = None
        self.tokens = 0
        self.seconds = 0.0

    def show(self, event: RunEvent) -> None:
        """Show one event."""
        if isinstance(event, Stepped):
            self.tokens += event.tokens
            self.seconds += event.seconds
            self.moved(event.done, self._stepped(event))
        elif text := _told(event):
            self.line(text)
        if isinstance(event, Evaluated):
            self.score = event.score

    def _stepped(self, event: Stepped) -> str:
        rate = self.tokens / self.seconds if self.seconds else 0.0
        score = f"  dev {self.score:.4f}" if self.score is not None else ""
        return f"step {event.step}  epoch {event.epoch:.2f}  loss {event.loss:.4f}{score}  {rate:,.0f} tokens/s"

    @abstractmethod
    def line(self, text: str) -> None:
        """A line that stays."""

    @abstractmethod
    def moved(self, done: float, text: str) -> None:
        """How far the stage is, in [0, 1], and what to say beside the bar."""

    @abstractmethod
    def __enter__(self) -> Self: ...

    @abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class RichWatch(Watch):
    """A bar with rate and remaining time at the foot of a terminal."""

    def __init__(self) -> None:
        super().__init__()
        columns: tuple[Any, ...] = (BarColumn(bar_width=24), TextColumn("{task.description}"), TimeRemainingColumn())
        self._progress = Progress(*columns, console=out, transient=True)
        self._task: TaskID | None = None

    def line(self, text: str) -> None:
        """Print above the bar."""
        self._progress.console.print(text, highlight=False)

    def moved(self, done: float, text: str) -> None:
        """Move the bar; a new stage begins a new one."""
        if self._task is None or done < self._progress.tasks[0].completed:
            if self._task is not None:
                self._progress.remove_task(self._task)
            self._task = self._progress.add_task(text, total=1.0)
        self._progress.update(self._task, completed=done, description=text)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()


class PlainWatch(Watch):
    """One line every few seconds, for a log file; with `silent` none at all."""

    def __init__(self, *, silent: bool) -> None:
        super().__init__()
        self._silent = silent
        self._last = 0.0

    def line(self, text: str) -> None:
        """Print the line."""
        if not self._silent:
            try:
                out.print(text, highlight=False)
            except BrokenPipeError:
                # Whoever read along has left; the run is what was asked for, and it goes on.
                self._silent = True

    def moved(self, done: float, text: str) -> None:
        """Print a line if the last one is some seconds old."""
        now = time.monotonic()
        if now - self._last >= EVERY_SECONDS:
            self._last = now
            self.line(f"  {done:4.0%}  {text}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


def _told(event: RunEvent) -> str | None:
    """The line that an event is worth, if any."""
    match event:
        case Phase():
            return f"[bold]{event.name}[/] {escape(event.detail)}"
        case Noted():
            return f"  {escape(event.text)}"
        case Started():
            return f"  {_started(event)}"
        case Halved():
            cut = f"batches go through in {event.pieces} pieces of at most {event.windows}"
            return f"  [yellow]memory ran out[/] at step {event.step + 1}: {cut}; their gradient stays the same"
        case Spiked():
            return f"  [yellow]loss spike[/] {escape(_spiked(event))}"
        case Evaluated():
            return f"  epoch {event.epoch:.2f}  dev {event.score:.4f}{' [green]best[/]' if event.best else ''}"
        case Stopped():
            return f"  {event.reason} after {event.step} steps, {event.tokens:,} tokens, {event.seconds:.0f} s"
        case Interrupted():
            return f"[yellow]stopped[/] by {event.signal} at step {event.step}; go on with --resume"
        case Finished():
            return _finished(event)
        case _:
            return None


def _spiked(event: Spiked) -> str:
    most = 8
    rest = f" and {len(event.examples) - most} more" if len(event.examples) > most else ""
    outcome = {
        "learnt": 'learnt from all the same (train.on_spike = "roll_back" leaves it out)',
        "left_out": "left out",
        "rolled_back": f"back to step {event.step}, and on without it",
        "no_state": "learnt from all the same: no whole state from before it is saved",
        "too_many": "learnt from all the same: so many batches are left out already that no batch is the cause",
    }[event.outcome]
    cause = "the batch" if event.blame == "batch" else "the update before, from the batch"
    named = ", ".join(event.examples[:most])
    return f"{event.loss:.3g} where {event.usual:.3g} is usual, by {cause} of {named}{rest}: {outcome}"


def _started(event: Started) -> str:
    length = f"{event.steps} steps" if event.steps is not None else "a given time"
    rows = f", {event.vocabulary[0]} of {event.vocabulary[1]} embedding rows" if event.vocabulary else ""
    means = f"{event.threads} thread(s)" if event.device == "cpu" else f"attention: {event.attention}"
    chosen = f"{event.precision.precision} on {event.device}, {means}"
    return f"{length} at rate {event.learning_rate:g}, {event.trainable:,} parameters learn{rows}; {chosen}"


def _finished(event: Finished) -> str:
    places = (("report", event.folder / "report.html"), ("bundle", event.folder / "bundle"))
    lines = [f"[dim]{name}[/]  {escape(str(path))}" for name, path in places]
    return "\n".join([f"[bold]{escape(event.record['headline'])}[/]", *lines])
