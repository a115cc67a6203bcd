"""The process of its own that reads a joined bundle before it appears: nothing of the one that wrote it is left there.

in    {"folder": the bundle}
out   {"proved": {name: golden rows}}, or what child.py says
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tunesmith.bundle.join import prove_written
from tunesmith.run.child import serve


def work(wish: dict[str, Any], say: Callable[[Mapping[str, Any]], None]) -> Mapping[str, Any]:
    """Answer the golden rows of every model."""
    return {"proved": prove_written(Path(wish["folder"]))}


if __name__ == "__main__":
    serve(work)
