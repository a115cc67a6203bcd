"""Memory that one step frees is kept for the next one, where the C library is glibc.

A step frees what the next one asks for again. glibc hands the end of its heap back to the system each time, which
clears every page before it gives it out anew: some thousand page faults a step, a few percent of its time. While a run
lasts it is kept, from one evaluation to the next. Where memory runs out, and at the end, what is free goes back and
glibc does as it does by default.
Source: mallopt(3), M_MMAP_THRESHOLD and M_TRIM_THRESHOLD.
"""

import ctypes
import os
from contextlib import suppress

from tunesmith.core.memory import give_back

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_DEFAULTS = {_TRIM_THRESHOLD: 64 << 20, _MMAP_THRESHOLD: 32 << 20}
"""Bytes: what glibc's own thresholds grow to in a process that frees large blocks"""
_KEPT = _DEFAULTS | {_TRIM_THRESHOLD: 1 << 30}
"""So much may lie free at the end of the heap, which is where a backward pass leaves it"""
_WISHES = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


class FreedMemory:
    """Keeps what is freed, unless the environment says how memory is to be handled."""

    def __init__(self) -> None:
        self.kept = not any(wish in os.environ for wish in _WISHES) and _set(_KEPT)

    def release(self) -> None:
        """Return what is free now: what follows asks for blocks of other sizes, which would come on top."""
        if self.kept:
            give_back()

    def close(self) -> None:
        """Return what is free, and keep nothing from here on; twice is once."""
        if self.kept:
            _set(_DEFAULTS)
            give_back()
        self.kept = False


def _set(options: dict[int, int]) -> bool:
    """Whether the allocator took all of these."""
    with suppress(OSError, AttributeError):  # another system, or another C library
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        return all([mallopt(option, value) for option, value in options.items()])
    return False
