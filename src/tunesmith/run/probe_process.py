"""The process of its own in which a probe runs, so that its peak memory is that of a run and of nothing else.

in    {"table": {...}, "folder": where data paths begin, "scratch": an empty folder, "steps": 24}
    out   {"doing": "..."} a line each, then one of
          {"began": seconds since the epoch, "probed": {...}}   {"error": {...}, "kind": class}   {"ran_out": true}
"""

import json
import os
import sys
import time
from pathlib import Path

from tunesmith.core.errors import TunesmithError
from tunesmith.core.memory import ran_out
from tunesmith.run.config import parsed
from tunesmith.run.folder import RunFolder
from tunesmith.run.probe import probed


def main() -> None:
    """Probe the run that standard input describes."""
    began = time.time()
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no answer
    wish = json.load(sys.stdin)

    def tell(doing: str) -> None:
        out.write(f"{json.dumps({'doing': doing})}\n")

    try:
        config = parsed(wish["table"], folder=Path(wish["folder"]))
        found = probed(config, RunFolder(Path(wish["scratch"])), steps=wish["steps"], tell=tell)
        said = {"began": began, "probed": found.as_record()}
    except TunesmithError as error:
        said = {"error": error.as_record(), "kind": type(error).__name__}
    except (MemoryError, RuntimeError) as error:
        if not ran_out(error):
            raise
        said = {"ran_out": True}
    out.write(f"{json.dumps(said)}\n")


if __name__ == "__main__":
    main()
