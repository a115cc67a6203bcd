"""Does a bundle still hold, to the byte, what was written, and does it still compute what it computed then?"""

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tunesmith.bundle.golden import prove
from tunesmith.bundle.joined import open_joined, ready_joined
from tunesmith.bundle.joined_integrity import is_joined
from tunesmith.bundle.precision import ready
from tunesmith.bundle.read import open_bundle


@dataclass(frozen=True, slots=True)
class Verification:
    """What was checked."""

    bundle: str
    """The folder."""
    name: str
    sha256: str
    """The identity of the bundle."""
    files: int
    golden_rows: int
    seconds: float
    adapters: dict[str, int] = field(default_factory=dict)
    """Golden rows of each model, where several share a backbone"""

    def as_record(self) -> dict[str, Any]:
        """A JSON-ready object."""
        return asdict(self)


def verify(folder: Path) -> Verification:
    """Recompute every digest and every golden row.

    Raises:
        MissingInputError: no bundle is here.
        ModelFileError: a file was changed (the place names it), or a golden row is no longer answered as it was.
    """
    started = time.perf_counter()
    if is_joined(folder):
        return _several(folder, started)
    bundle = ready(open_bundle(folder), "fp32")
    manifest = bundle.manifest
    rows = prove(bundle)
    seconds = round(time.perf_counter() - started, 3)
    return Verification(str(folder), manifest.name, manifest.sha256, len(manifest.contents) + 1, rows, seconds)


def _several(folder: Path, started: float) -> Verification:
    """Every model of a bundle that several share."""
    joined = ready_joined(open_joined(folder), "fp32")
    rows = {name: prove(part) for name, part in joined.parts.items()}
    manifest = joined.manifest
    return Verification(
        bundle=str(folder),
        name=manifest.name,
        sha256=manifest.sha256,
        files=len(manifest.files) + 1,
        golden_rows=sum(rows.values()),
        seconds=round(time.perf_counter() - started, 3),
        adapters=rows,
    )
