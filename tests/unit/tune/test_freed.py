"""Whether the pages of a freed tensor are there for the next one, in a process whose allocator nobody has touched."""

import os
import subprocess
import sys

import pytest

PAGE, ROUNDS = 4096, 20
BYTES = 80 << 20
"""Of a round, in four pieces that together take more than glibc leaves at the end of its heap by itself"""
PROGRAM = f"""
import resource, torch
from tunesmith.tune.freed import FreedMemory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range({ROUNDS}):
        [torch.zeros({BYTES} // 16).add_(1) for _ in range(4)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

freed = FreedMemory()
faults()  # the heap grows
print(int(freed.kept), faults())
freed.release()
print(int(freed.kept), faults())
freed.close()
freed.close()
print(int(freed.kept), faults())
"""


def faults(**environment):
    """[(kept, page faults of twenty rounds)] while memory is kept, after it was released, and at the end."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=plain | environment, capture_output=True, text=True, check=True
    )
    return [tuple(map(int, line.split())) for line in ran.stdout.splitlines()]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="another allocator than glibc's")
def test_pages_stay_until_memory_is_given_back():
    (kept, while_kept), (still, once_released), (no_more, afterwards) = faults()
    assert (kept, still, no_more) == (1, 1, 0)
    once = BYTES / PAGE
    assert while_kept < once / 2
    assert once / 2 < once_released < 4 * once
    assert afterwards > once / 2  # and twenty times as many, unless something small lies at the end of the heap


def test_what_the_environment_wishes_stands():
    (kept, _), *_ = faults(MALLOC_TRIM_THRESHOLD_="131072")
    assert not kept
