"""Does a bundle still hold, to the byte, what was written, and does it still compute what it computed then?"""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tunesmith.bundle.golden import prove
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
    bundle = ready(open_bundle(folder), "fp32")
    manifest = bundle.manifest
    rows = prove(bundle)
    seconds = round(time.perf_counter() - started, 3)
    return Verification(str(folder), manifest.name, manifest.sha256, len(manifest.contents) + 1, rows, seconds)
