"""Does a bundle still hold, to the byte, what was written, and does it still compute what it computed then?

`verify` answers in this process. `verify_elsewhere` asks a fresh one, which shares nothing with the process that
trained the model: no weight in memory, no cache, no changed setting.
"""

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tunesmith.bundle import golden
from tunesmith.bundle.manifest import CONTENTS
from tunesmith.bundle.predictor import Predictor
from tunesmith.bundle.read import open_bundle
from tunesmith.core.errors import ModelFileError, Place, TunesmithError


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


def verify_elsewhere(folder: Path, *, timeout: float = 600.0) -> dict[str, Any]:
    """`verify` in a fresh Python process; the record of its `Verification`.

    Raises:
        ModelFileError: what the other process refused, or that it ended without a word.
    """
    command = [sys.executable, "-m", "tunesmith.bundle.verify", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    lines = done.stdout.strip().splitlines()
    silent = {"message": done.stderr.strip()[-500:] or "it ended without a word"}
    said: dict[str, Any] = json.loads(lines[-1]) if lines else silent
    if done.returncode == 0 and "sha256" in said:
        return said
    file = said.get("place", {}).get("file", str(folder))
    code, fix = said.get("error", "TS-BUNDLE-018"), said.get("fix", "")
    raise ModelFileError(str(said["message"]), code=str(code), place=Place(file=file), fix=str(fix))


def _main(folder: str) -> int:
    try:
        record, code = verify(Path(folder)).as_record(), 0
    except TunesmithError as error:
        record, code = error.as_record(), error.exit_code
    sys.stdout.write(f"{json.dumps(record, ensure_ascii=False)}\n")
    return code


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1]))
