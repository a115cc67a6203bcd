"""Files that appear whole or not at all.

    draft beside the place -> write -> sync -> rename over the place

A crash at any point leaves the old file or the new one. What an operating system error means to a user is worded by
the caller, who knows what was being written.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
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
    path = path.resolve()  # a link stays one: what it points to is replaced
    if not path.name or path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if path.exists() and not path.is_file():  # /dev/stdout, a pipe: nothing can take its place
        with _opened(path, mode, errors) as file:
            yield file
        return
    draft = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    try:
        with _opened(draft, mode, errors) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        sync(path.parent)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _opened(path: Path, mode: Literal["w", "wb"], errors: str) -> IO[Any]:
    return path.open(mode) if mode == "wb" else path.open(mode, encoding="utf-8", errors=errors, newline="")


def sync(path: Path) -> None:
    """Make a file's bytes, or the names in a folder, durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
