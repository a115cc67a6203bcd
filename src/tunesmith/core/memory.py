"""How much memory there is, how much this process took, and whether an error means that it ran out.

An error means it where it is a `MemoryError`, or a `RuntimeError` of a library that says so in words: whoever asks need
not import torch.
"""

import ctypes
import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

NO_KERNEL = "could not create a primitive"
"""All that oneDNN says where it finds no memory for a kernel"""
_SAID = (
    "can't allocate memory",
    "out of memory",
    "not enough memory",
    "bad allocation",
    "std::bad_alloc",
    NO_KERNEL,
)
_GROUPS: Final = (
    (Path("/sys/fs/cgroup"), "memory.max", "memory.current", "inactive_file"),
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
"""Control groups of version 2 and 1: what a container may take, what it has taken, and how much of that is pages of
files that make room for whoever needs it."""


def ran_out(error: BaseException) -> bool:
    """Whether the machine or the device had no more memory to give."""
    said = isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _SAID)
    return said or isinstance(error, MemoryError)


def free_memory() -> int | None:
    """Bytes a new process can take before the machine or its container runs out; None where the system does not say."""
    found = []
    with suppress(OSError, StopIteration, ValueError):
        found.append(1024 * _counted(Path("/proc/meminfo"), "MemAvailable:"))
    for folder, limit, taken, cached in _GROUPS:
        with suppress(OSError, StopIteration, ValueError):  # "max" is no number: no limit
            held = int((folder / taken).read_text(encoding="ascii")) - _counted(folder / "memory.stat", cached)
            found.append(int((folder / limit).read_text(encoding="ascii")) - held)
    return max(min(found), 0) if found else None


def peak_memory() -> int:
    """The largest resident set of this process so far, in bytes.

    Linux counts `ru_maxrss` on from the parent's peak, which would hide a small child; VmHWM begins anew.
    """
    with suppress(OSError, StopIteration, ValueError):
        return 1024 * _counted(Path("/proc/self/status"), "VmHWM:")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def give_back() -> None:
    """Hand to the system what was freed and is still held for later.

    The allocator of glibc keeps it in pieces that a stage with tensors of other sizes cannot use, so that stages that
    follow one another would add up. Elsewhere nothing is done.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def _counted(file: Path, name: str) -> int:
    """The number behind a name, in a file that has one of each in a line."""
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    return int(next(words[1] for words in map(str.split, lines) if words[:1] == [name]))


def no_kernel(error: BaseException) -> bool:
    """Whether it was oneDNN that had no memory for a kernel.

    Its compiler, Xbyak, keeps that fault for the thread and nobody clears it: however much memory there is later, that
    thread gets no kernel any more but those it has.
    """
    return isinstance(error, RuntimeError) and NO_KERNEL in str(error)
