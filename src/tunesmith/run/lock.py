"""One writer for a run folder: an advisory lock that dies with its process, so that it can never go stale."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tunesmith.core.errors import BusyError, Place

ANOTHER = "another process"
TRIES, PAUSE = 5, 0.02
"""Whoever asks for the holder holds the lock for an instant (below): that must not stop a run from beginning."""


def require_free(folder: Path) -> None:
    """Refuse a folder that another process writes into, before anything slow is imported or read for it.

    Raises:
        BusyError: another process writes into the folder.
    """
    if owner := holder(folder):
        raise _busy(folder, owner)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold `folder/.lock` for the duration of the block.

    Raises:
        BusyError: another process writes into the folder.
    """
    file = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not any(_taken(file, pause) for pause in (*[PAUSE] * (TRIES - 1), 0.0)):
            raise _busy(folder, _named(file) or ANOTHER)
        os.ftruncate(file, 0)
        os.pwrite(file, f"pid {os.getpid()}\n".encode("ascii"), 0)
        yield
    finally:
        os.close(file)


def holder(folder: Path) -> str | None:
    """Who writes into the folder now, as `pid 123`, or None: nobody, or nobody that this account may ask about."""
    try:
        file = os.open(folder / ".lock", os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _named(file) or ANOTHER
    except OSError:  # a file system without locks
        return None
    finally:
        os.close(file)
    return None


def _busy(folder: Path, owner: str) -> BusyError:
    return BusyError(
        f"{ANOTHER}{f' ({owner})' if owner != ANOTHER else ''} writes into this run",
        code="TS-RUN-003",
        place=Place(file=str(folder)),
        fix="wait for it, stop it, or name another folder with --out.",
    )


def _taken(file: int, pause: float) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        time.sleep(pause)
        return False
    return True


def _named(file: int) -> str:
    return os.pread(file, 32, 0).decode("ascii", "replace").strip()
