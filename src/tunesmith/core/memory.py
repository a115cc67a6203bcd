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

_SAID = (
    "can't allocate memory",
    "out of memory",
    "not enough memory",
    "bad allocation",
    "std::bad_alloc",
    "could not create a primitive",  # oneDNN says no more than this where it finds no memory for a kernel
)
_LIMITS: Final = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes")),
)
"""What a container may take and what it has taken, of control groups of version 2 and 1."""


def ran_out(error: BaseException) -> bool:
    """Whether the machine or the device had no more memory to give."""
    said = isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _SAID)
    return said or isinstance(error, MemoryError)


def free_memory() -> int | None:
    """Bytes a new process can take before the machine or its container runs out; None where the system does not say."""
    found = []
    with suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        found.append(1024 * int(next(line for line in lines if line.startswith("MemAvailable")).split()[1]))
    for limit, taken in _LIMITS:
        with suppress(OSError, ValueError):  # "max" is no number: no limit
            found.append(int(limit.read_text(encoding="ascii")) - int(taken.read_text(encoding="ascii")))
    return max(min(found), 0) if found else None


def peak_memory() -> int:
    """The largest resident set of this process so far, in bytes.

    Linux counts `ru_maxrss` on from the parent's peak, which would hide a small child; VmHWM begins anew.
    """
    with suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/self/status").read_text(encoding="utf-8", errors="replace").splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def give_back() -> None:
    """Hand to the system what was freed and is still held for later.

    The allocator of glibc keeps it in pieces that a stage with tensors of other sizes cannot use, so that stages that
    follow one another would add up. Elsewhere nothing is done.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
