"""The process of its own in which a probe runs, so that its peak memory is that of a run and of nothing else.

in    {"table": {...}, "folder": where data paths begin, "scratch": an empty folder, "steps": 24}
out   {"doing": "..."} a line each, then {"began": seconds since the epoch, "probed": {...}}, or what child.py says
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tunesmith.run.child import serve
from tunesmith.run.config import parsed
from tunesmith.run.folder import RunFolder
from tunesmith.run.probe import probed

BEGAN = time.time()


def work(wish: dict[str, Any], say: Callable[[Mapping[str, Any]], None]) -> Mapping[str, Any]:
    """Probe the run that is described."""
    config = parsed(wish["table"], folder=Path(wish["folder"]))
    found = probed(
        config, RunFolder(Path(wish["scratch"])), steps=wish["steps"], tell=lambda doing: say({"doing": doing})
    )
    return {"began": BEGAN, "probed": found.as_record()}


if __name__ == "__main__":
    serve(work)
