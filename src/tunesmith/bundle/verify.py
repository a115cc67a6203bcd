"""Does a bundle still hold, to the byte, what was written, and does it still compute what it computed then?"""

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tunesmith.bundle.approximate import Search, searching
from tunesmith.bundle.golden import prove
from tunesmith.bundle.joined import open_joined, ready_joined
from tunesmith.bundle.joined_integrity import is_joined
from tunesmith.bundle.opening import require_plain
from tunesmith.bundle.precision import ready
from tunesmith.bundle.read import open_bundle
from tunesmith.bundle.reranking import Stages


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
    index: str | None = None
    """What the index of a search is and finds, where one was asked for"""

    def as_record(self) -> dict[str, Any]:
        """A JSON-ready object."""
        return asdict(self)


def verify(folder: Path, *, index: Search = "exact") -> Verification:
    """Recompute every digest and every golden row; make and measure the index of a search.

    Raises:
        MissingInputError: no bundle is here.
        ModelFileError: a file was changed (the place names it), or a golden row is no longer answered as it was.
        UsageError: an index for a bundle that searches no documents, or that holds several models.
        MissingExtraError: faiss is not installed.
    """
    started = time.perf_counter()
    if is_joined(folder):
        require_plain(folder, Stages(index))
        return _several(folder, started)
    bundle = ready(open_bundle(folder), "fp32")
    manifest = bundle.manifest
    rows = prove(bundle)
    seconds = round(time.perf_counter() - started, 3)
    collection = searching(bundle, index).collection
    return Verification(
        bundle=str(folder),
        name=manifest.name,
        sha256=manifest.sha256,
        files=len(manifest.contents) + 1,
        golden_rows=rows,
        seconds=seconds,
        index=collection.index.account if collection and collection.index else None,
    )


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
