"""What a run says, as the flat records that trackers are told."""

import math
import time
from collections.abc import Mapping
from typing import Any

from tunesmith.core.tracker import Ending, Record
from tunesmith.run.events import Finished, Interrupted, Noted, Phase, RunEvent
from tunesmith.tune.events import Evaluated, Halved, Saved, Spiked, Started, Stepped, Stopped, TuneEvent

Plain = dict[str, str | int | float | bool | None]


def record_of(event: RunEvent, *, lesson: str, metric: str) -> Record:
    """The record of an event. `metric` names the score that the loop evaluates, `lesson` whose loop it is."""
    stamp: Plain = {"time": round(time.time(), 3)}
    match event:
        case Phase():
            return {"event": "phase", **stamp, "name": event.name, "detail": event.detail}
        case Noted():
            return {"event": "note", **stamp, "text": event.text}
        case Finished() | Interrupted():
            return {"event": "ended", **stamp}
    return {**_named(event, metric), **stamp, "lesson": lesson, "step": event.step}


def ending_of(event: Finished | Interrupted) -> Ending:
    """How the run ended: with its scores and its cost, or by which signal."""
    if isinstance(event, Interrupted):
        return Ending(state="interrupted", reason=f"{event.signal} at step {event.step}")
    scores = {
        f"{split}/{name}": {part: metric.get(part) for part in ("value", "low", "high")}
        for split, found in event.record["splits"].items()
        for name, metric in found["metrics"].items()
    }
    return Ending(state="finished", reason=event.record["headline"], scores=scores, cost=_plain(event.record["cost"]))


def _named(event: TuneEvent, metric: str) -> Plain:
    match event:
        case Started():
            found = {
                "event": "started",
                "steps": event.steps,
                "precision": event.precision.precision,
                "device": event.device,
                "threads": event.threads,
                "attention": event.attention,
                "learning_rate": event.learning_rate,
                "trainable": event.trainable,
                "frozen": event.frozen,
            }
        case Stepped():
            found = {
                "event": "step",
                "epoch": event.epoch,
                "done": event.done,
                "loss": event.loss,
                **{f"term/{kind}": value for kind, value in event.terms.items()},
                "learning_rate": event.learning_rate,
                "gradient_norm": event.gradient_norm,
                "tokens": event.tokens,
                "seconds": event.seconds,
                "tokens_per_second": event.tokens / max(event.seconds, 1e-9),
            }
        case Halved():
            found = {"event": "halved", "pieces": event.pieces, "windows": event.windows}
        case Spiked():
            found = {
                "event": "spiked",
                "loss": event.loss,
                "usual": event.usual,
                "blame": event.blame,
                "outcome": event.outcome,
                "examples": ", ".join(event.examples),
            }
        case Evaluated():
            found = {
                "event": "evaluated",
                "epoch": event.epoch,
                "split": "dev",
                "metric": metric,
                "score": event.score,
                "best": event.best,
                "best_score": event.best_score,
                "best_step": event.best_step,
                "seconds": event.seconds,
            }
        case Saved():
            found = {"event": "saved", "folder": event.folder.name, "bytes": event.bytes, "seconds": event.seconds}
        case Stopped():
            found = {
                "event": "stopped",
                "epoch": event.epoch,
                "reason": event.reason,
                "best_score": event.best_score,
                "best_step": event.best_step,
                "tokens": event.tokens,
                "seconds": event.seconds,
            }
    return _plain(found)


def _plain(found: Mapping[str, Any]) -> Plain:
    """Texts and finite numbers; JSON has no others."""
    kept = {name: value for name, value in found.items() if value is None or isinstance(value, str | int | float)}
    return {name: None if isinstance(x, float) and not math.isfinite(x) else x for name, x in kept.items()}
