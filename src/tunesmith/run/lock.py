"""One writer for a run folder: an advisory lock that dies with its process, so that it can never go stale."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tunesmith.core.errors import BusyError, Place


def require_free(folder: Path) -> None:
    """Refuse a folder that another process writes into, before anything slow is imported or read for it.

    Raises:
        BusyError: another process writes into the folder.
    """
    if (folder / ".lock").is_file():
        with contextlib.suppress(OSError), locked(folder):  # what else is wrong with it is found when it is opened
            pass


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold `folder/.lock` for the duration of the block.

    Raises:
        BusyError: another process writes into the folder.
    """
    file = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(file, 32).decode("ascii", "replace").strip()
            raise BusyError(
                f"another process{f' ({owner})' if owner else ''} writes into this run",
                code="TS-RUN-003",
                place=Place(file=str(folder)),
                fix="wait for it, stop it, or name another folder with --out.",
            ) from None
        os.ftruncate(file, 0)
        os.pwrite(file, f"pid {os.getpid()}\n".encode("ascii"), 0)
        yield
    finally:
        os.close(file)
