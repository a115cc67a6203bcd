"""One writer for a run folder: an advisory lock that dies with its process, so that it can never go stale."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tunesmith.core.errors import BusyError, Place

TRIES, PAUSE = 5, 0.02
"""Whoever asks for the holder holds the lock for an instant (below): that must not stop a run from beginning."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold `folder/.lock` for the duration of the block.

    Raises:
        BusyError: another process writes into the folder.
    """
    file = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not any(_taken(file, pause) for pause in (*[PAUSE] * (TRIES - 1), 0.0)):
            owner = _named(file)
            raise BusyError(
                f"another process{f' ({owner})' if owner else ''} writes into this run",
                code="TS-RUN-003",
                place=Place(file=str(folder)),
                fix="wait for it, stop it, or name another folder with --out.",
            )
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
        return _named(file) or "another process"
    except OSError:  # a file system without locks
        return None
    finally:
        os.close(file)
    return None


def _taken(file: int, pause: float) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        time.sleep(pause)
        return False
    return True


def _named(file: int) -> str:
    return os.pread(file, 32, 0).decode("ascii", "replace").strip()
