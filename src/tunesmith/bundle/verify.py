"""Does a bundle still hold, to the byte, what was written, and does it still compute what it computed then?"""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tunesmith.bundle import golden
from tunesmith.bundle.manifest import CONTENTS
from tunesmith.bundle.predictor import Predictor
from tunesmith.bundle.read import open_bundle
from tunesmith.core.errors import ModelFileError, Place


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
    predictor = Predictor(open_bundle(folder))
    manifest = predictor.bundle.manifest
    rows = prove(predictor)
    seconds = round(time.perf_counter() - started, 3)
    return Verification(str(folder), manifest.name, manifest.sha256, len(CONTENTS) + 1, rows, seconds)


def prove(predictor: Predictor) -> int:
    """Answer the golden rows of an open bundle and give back how many there are.

    Raises:
        ModelFileError: an answer is not what it was when the bundle was written.
    """
    rows = golden.read(predictor.bundle.folder)
    for difference in golden.differences(predictor, rows):
        raise ModelFileError(
            f"the model no longer answers as it did: {difference}",
            code="TS-BUNDLE-017",
            place=Place(file=str(predictor.bundle.folder / "golden.jsonl")),
            fix="check the versions of torch and tokenizers against the provenance in bundle.json.",
        )
    return len(rows)
