"""Console: the run as plain lines on standard error, one at an interval, whatever standard output shows.

    demo  step 40  epoch 1.20  loss 0.4321  rate 2.8e-04  gradient 1.20  12,300 tokens/s
    demo  step 60  epoch 1.80  dev span_f1 0.8123  best

When to use it: beside `--json`, which shows no progress, or where the log of a batch system keeps standard error.
Cost: none worth naming.
Relations: the bar and the lines of `tunesmith train` are there without it; json_lines is the same for a program.
"""

import sys
import time

from pydantic import Field

from tunesmith.core.tracker import Ending, Record, TrackedRun, Tracker, Tracking


class Console(Tracker):
    """Lines of progress for a person."""

    every: float = Field(default=10.0, ge=0.0)
    """Seconds between two lines about steps; scores of the dev rows are always told."""

    def begin(self, run: TrackedRun) -> Tracking:
        """Say that the run begins, or goes on."""
        lines = _Lines(run.name, self.every)
        lines.say(f"{'goes on' if run.resumed else 'begins'} in {run.folder}")
        return lines


class _Lines(Tracking):
    def __init__(self, name: str, every: float) -> None:
        self.name = name
        self.every = every
        self.last = time.monotonic()

    def note(self, record: Record) -> None:
        text = told(record)
        if text is None:
            return
        now = time.monotonic()
        if record["event"] == "step":
            if now - self.last < self.every:
                return
            self.last = now
        self.say(text)

    def finish(self, ending: Ending) -> None:
        self.say(f"{ending.state}: {ending.reason}")

    def say(self, text: str) -> None:
        sys.stderr.write(f"{self.name}  {text}\n".encode("utf-8", "backslashreplace").decode("utf-8"))
        sys.stderr.flush()


def told(record: Record) -> str | None:
    """The line that a record is worth, if any."""
    above = "silver pairs  " if record.get("lesson") == "silver" else ""
    match record["event"]:
        case "phase":
            return f"{record['name']} {record['detail']}"
        case "note":
            return str(record["text"])
        case "step":
            return (
                f"{above}step {record['step']}  epoch {record['epoch']:.2f}  loss {record['loss']:.4f}"
                f"  rate {record['learning_rate']:.1e}  gradient {record['gradient_norm']:.2f}"
                f"  {record['tokens_per_second']:,.0f} tokens/s"
            )
        case "halved":
            return f"{above}memory ran out after step {record['step']}: {record['pieces']} pieces a batch from here on"
        case "spiked":
            loss, usual = _short(record["loss"], ".3g"), _short(record["usual"], ".3g")
            outcome = str(record["outcome"]).replace("_", " ")
            spike = f"loss spike at step {record['step']}: {loss} where {usual} is usual"
            return f"{above}{spike}; {outcome}; examples {record['examples']}"
        case "evaluated":
            best = "  best" if record["best"] else ""
            return (
                f"{above}step {record['step']}  epoch {record['epoch']:.2f}"
                f"  dev {record['metric']} {_short(record['score'], '.4f')}{best}"
            )
        case "stopped":
            return f"{above}{record['reason']} after {record['step']} steps, {record['seconds']:.0f} s"
    return None


def _short(number: str | float | None, form: str) -> str:
    return format(number, form) if isinstance(number, float) else "not a number"
