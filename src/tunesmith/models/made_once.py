"""Folders in the user's cache that are made on first use: each appears by one rename, so it is always complete."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from tunesmith.core.atomic import sync
from tunesmith.core.errors import Place, StorageError


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/tunesmith`, or `~/.cache/tunesmith`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "tunesmith"


def made_once(target: Path, write: Callable[[Path], None], *, what: str, room: int) -> Path:
    """`target`, filled by `write` unless it is there already. `what` and `room` (bytes) are for the message.

    Raises:
        StorageError: the cache cannot be written.
    """
    if target.is_dir():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(prefix=".making-", dir=target.parent))
        try:
            write(making)
            _publish(making, target)
        finally:
            shutil.rmtree(making, ignore_errors=True)
    except OSError as error:
        raise StorageError(
            f"{what} cannot be unpacked: {error.strerror or error}",
            code="TS-MODEL-032",
            place=Place(file=str(target)),
            fix=f"free {room / 1e6:.0f} MB there, or point XDG_CACHE_HOME at a disk that has them.",
        ) from None
    return target


def _publish(making: Path, target: Path) -> None:
    """Flush every file and rename; another process that was faster made the same folder."""
    making.chmod(0o755)
    for file in making.iterdir():
        file.chmod(0o644)
        sync(file)
    try:
        making.rename(target)
    except OSError:
        if not target.is_dir():
            raise
