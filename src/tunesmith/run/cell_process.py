"""The process of its own in which one cell of a comparison is trained: an ordinary run, in an ordinary run folder.

in    {"table": {...}, "folder": where data paths begin, "out": run folder, "resume": false, "origins": {...}}
out   {"doing": "...", "done": 0.25} a line each, then {"finished": true}, {"stopped": "SIGTERM"}, or what
      child.py says
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from tunesmith.run.child import serve
from tunesmith.run.config import parsed
from tunesmith.run.events import Finished, Interrupted, Phase
from tunesmith.run.folder import opened
from tunesmith.run.stopping import stop_wishes
from tunesmith.run.train import run
from tunesmith.tune.events import Stepped

_EVERY: Final = 0.2
"""Seconds between two signs of progress"""


def work(wish: dict[str, Any], say: Callable[[Mapping[str, Any]], None]) -> Mapping[str, Any]:
    """Train, judge and bundle the run that is described."""
    config = parsed(wish["table"], folder=Path(wish["folder"]))
    folder = opened(Path(wish["out"]), resume=wish["resume"])
    last, then = Interrupted(0, "", folder.path), 0.0
    with stop_wishes() as wishes:
        events = run(config, folder, origins=wish["origins"], resume=wish["resume"], should_stop=wishes)
        for event in events:
            if isinstance(event, Phase):
                say({"doing": event.name, "done": None})
            elif isinstance(event, Stepped) and time.monotonic() - then >= _EVERY:
                then = time.monotonic()
                say({"doing": f"step {event.step}, loss {event.loss:.3f}", "done": event.done})
            elif isinstance(event, Finished):
                return {"finished": True}
            elif isinstance(event, Interrupted):
                last = event
    return {"stopped": last.signal}


if __name__ == "__main__":
    serve(work)
