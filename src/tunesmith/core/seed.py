"""Independent random streams by name from one seed, so that adding a stream never moves another.

    derived(seed, name_1, name_2, ...) = first 63 bits of sha256("seed/name_1/name_2/...")

A stream is a pure function of its names: data order is named by the epoch, dropout by the step, so that a resumed run
needs no generator state to go on bit for bit.
"""

import hashlib


def derived(seed: int, *names: str | int) -> int:
    """A seed in [0, 2**63) for the stream with these names, the same on every machine and version."""
    path = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(path.encode("utf-8")).digest()[:8], "big") >> 1
