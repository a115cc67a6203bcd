"""Whether the pages of a freed tensor are there for the next one, in a process whose allocator nobody has touched."""

import os
import subprocess
import sys

import pytest

PAGE, TENSORS = 4096, 20
BYTES = 40 << 20
"""Above every threshold that glibc finds by itself"""
PROGRAM = f"""
import resource, torch
from tunesmith.tune.freed import FreedMemory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range({TENSORS}):
        torch.zeros({BYTES} // 4).add_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

freed = FreedMemory()
faults()  # the heap grows
print(int(freed.kept), faults())
freed.give_back()
freed.give_back()
print(int(freed.kept), faults())
"""


def faults(**environment):
    """[(kept, page faults of twenty tensors)] while memory is kept, and after it was given back."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=plain | environment, capture_output=True, text=True, check=True
    )
    return [tuple(map(int, line.split())) for line in ran.stdout.splitlines()]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="another allocator than glibc's")
def test_pages_stay_until_memory_is_given_back():
    (kept, while_kept), (still, afterwards) = faults()
    assert (kept, still) == (1, 0)
    assert while_kept < BYTES / PAGE < TENSORS * BYTES / PAGE / 2 < afterwards


def test_what_the_environment_wishes_stands():
    (kept, _), _ = faults(MALLOC_TRIM_THRESHOLD_="131072")
    assert not kept
