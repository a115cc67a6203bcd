"""Files that appear whole or not at all.

    draft beside the place -> write -> sync -> rename over the place -> sync the folder

A crash at any point leaves the old file or the new one. What an operating system error means to a user is worded by
the caller, who knows what was being written.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Literal


@contextmanager
def replacing(path: Path, mode: Literal["w", "wb"] = "w", *, errors: str = "strict") -> Iterator[IO[Any]]:
    """A file to write, UTF-8 if text, that takes the place of `path` when the block ends well.

    Whatever else ends the block, Ctrl-C included, the draft is gone and `path` is as it was. What is no regular file
    (a pipe, a device) is written straight into.

    Raises:
        OSError: the disk failed or is full, or the folder is missing or may not be written.
    """
    if _special(path):  # before links are resolved: /dev/stdout of a pipeline leads to a name that is no path
        with _opened(path, mode, errors) as file:
            yield file
        return
    path = path.resolve()  # a link stays one: what it points to is replaced
    draft = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    try:
        with _opened(draft, mode, errors) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    with suppress(OSError):  # the file stands whatever comes, and not every file system can sync a folder
        sync(path.parent)


def _special(path: Path) -> bool:
    """Whether nothing can take the place of what is there; a folder is then refused by opening it."""
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return False


def _opened(path: Path, mode: Literal["w", "wb"], errors: str) -> IO[Any]:
    return path.open(mode) if mode == "wb" else path.open(mode, encoding="utf-8", errors=errors, newline="")


def sync(path: Path) -> None:
    """Make a file's bytes, or the names in a folder, durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
