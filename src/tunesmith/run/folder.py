"""Where a run lives on disk, and the promise that nothing in it is ever half-written.

runs/NAME/  config.json  journal.jsonl  checkpoints/  split.json  audit.json  report.json  report.html
            predictions.dev.jsonl  predictions.test.jsonl  bundle/  adapter/  silver/  mined.train.jsonl
            tracking.json and whatever trackers leave
"""

import errno
import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.core.atomic import replacing
from tunesmith.core.errors import CannotCreateError, MissingInputError, Place, StorageError


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The files of one run."""

    path: Path

    @property
    def config(self) -> Path:
        """The resolved configuration with the origin of each value."""
        return self.path / "config.json"

    @property
    def journal(self) -> Path:
        """What happened, one JSON object a line."""
        return self.path / "journal.jsonl"

    @property
    def checkpoints(self) -> Path:
        """Saved training states, newest last."""
        return self.path / "checkpoints"

    @property
    def report(self) -> Path:
        """The measured result."""
        return self.path / "report.json"

    @property
    def page(self) -> Path:
        """The report as one self-contained page."""
        return self.path / "report.html"

    @property
    def audit(self) -> Path:
        """What the audit found in the data."""
        return self.path / "audit.json"

    @property
    def split(self) -> Path:
        """Which rows went where, with seed and fingerprint."""
        return self.path / "split.json"

    @property
    def tracking(self) -> Path:
        """The id under which trackers know the run."""
        return self.path / "tracking.json"

    @property
    def silver(self) -> "RunFolder":
        """Where silver pairs were learnt ahead of the training rows: pairs, journal and checkpoints of their own."""
        return RunFolder(self.path / "silver")

    @property
    def pairs(self) -> Path:
        """In `silver`, the pairs."""
        return self.path / "pairs.jsonl"

    @property
    def learnt(self) -> Path:
        """In `silver`, the model that learnt them: where the training rows begin."""
        return self.path / "learnt"

    @property
    def bundle(self) -> Path:
        """The model to serve."""
        return self.path / "bundle"

    @property
    def adapter(self) -> Path:
        """The low-rank update alone, in the files of peft."""
        return self.path / "adapter"

    def mined(self, split: str) -> Path:
        """The pairs that were made of the rows of a search."""
        return self.path / f"mined.{split}.jsonl"

    def predictions(self, split: str) -> Path:
        """The stored answers on one split."""
        return self.path / f"predictions.{split}.jsonl"


def opened(path: Path, *, resume: bool) -> RunFolder:
    """A new run folder, or with `resume` an existing one. Never silently from scratch.

    Raises:
        CannotCreateError: the folder holds something and `resume` is not set, or it cannot be made.
        MissingInputError: `resume` is set and there is no run here.
    """
    folder = RunFolder(path)
    if resume:
        if not folder.config.is_file():
            raise MissingInputError(
                "there is no run to resume here",
                code="TS-RUN-004",
                place=Place(file=str(path)),
                fix="start it without --resume.",
            )
        return folder
    if path.exists() and (not path.is_dir() or any(item.name != ".lock" for item in path.iterdir())):
        raise CannotCreateError(
            "this folder holds something already",
            code="TS-RUN-005",
            place=Place(file=str(path)),
            fix="go on with it (--resume), name another folder (--out), or delete it.",
        )
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotCreateError(
            f"cannot make the run folder: {error.strerror}",
            code="TS-RUN-006",
            place=Place(file=str(path)),
            fix="name a folder you may write to with --out.",
        ) from None
    return folder


def read_json(file: Path) -> dict[str, Any]:
    """What `write_json` wrote."""
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def write_json(file: Path, record: Mapping[str, Any]) -> None:
    """Write a JSON file so that a crash leaves the old one or the new one, never a part."""
    write_lines(file, [json.dumps(record, ensure_ascii=False, indent=2)])


def write_lines(file: Path, lines: Iterable[str]) -> None:
    """Write a text file, one line each, atomically and durably.

    Raises:
        StorageError: the disk failed or is full; the file is as it was before.
    """
    try:
        with replacing(file) as out:
            for line in lines:
                out.write(f"{line}\n")
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        free = shutil.disk_usage(file.parent).free
        raise StorageError(
            "the disk is full" if full else f"cannot write: {error.strerror}",
            code="TS-RUN-007",
            place=Place(file=str(file)),
            fix=f"free some space ({free:,} bytes are left), then run again with --resume.",
        ) from None
