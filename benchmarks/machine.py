"""What a row says about the machine: facts, clocks, peak memory, the work of others, and how fast matrices multiply.

Nothing heavy is imported at the top: drivers read this file too, and a driver must stay small (see `peak_memory_mb`).
"""

import os
import platform
import resource
import shutil
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("torch", "transformers", "tokenizers", "peft", "accelerate", "datasets")
TOKENS, WIDTH, INNER = 512, 384, 1536
"""The probe multiplies the largest product of the six-layer starter, at a full batch"""


def facts():
    """Processor, cores, GPU if there is one, threads, versions and the commit that was measured."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        **({"gpu": gpu} if (gpu := _gpu()) else {}),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "python": platform.python_version(),
        **{package: _version(package) for package in PACKAGES},
        "commit": _commit(),
    }


class Watch:
    """Wall and processor seconds since it was made, and how many cores others kept busy meanwhile."""

    def __init__(self):
        self._wall, self._own, self._busy = time.perf_counter(), _own_seconds(), _busy_seconds()

    def wall(self):
        return time.perf_counter() - self._wall

    def processor(self):
        """With one thread it hardly feels what others do; children count once they have ended."""
        return _own_seconds() - self._own

    def other_cores(self):
        """0.0 on an idle machine; from 0.15 on the wall-clock figures of a row deserve no trust."""
        return round(max(0.0, (_busy_seconds() - self._busy - self.processor()) / self.wall()), 2)


def peak_memory_mb():
    """The most memory this process held so far.

    Not `ru_maxrss`: a process begins with its parent's peak there, so a large driver would hide a small child.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def matmul_rates(seconds=0.3):
    """Best GFLOP/s of [512, 384] x [384, 1536] in fp32 and in bf16, each tried for about `seconds`.

    The best and not the median: it is the limit that a share is taken of, and a higher limit makes the share smaller.
    """
    import torch

    rates = {}
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        x, weight = torch.randn(TOKENS, WIDTH).to(dtype), torch.randn(INNER, WIDTH).to(dtype)
        best, deadline = float("inf"), time.perf_counter() + seconds
        with torch.inference_mode():
            torch.nn.functional.linear(x, weight)
            while time.perf_counter() < deadline:
                begin = time.perf_counter()
                for _ in range(3):
                    torch.nn.functional.linear(x, weight)
                best = min(best, (time.perf_counter() - begin) / 3)
        rates[name] = round(2 * TOKENS * WIDTH * INNER / best / 1e9, 1)
    return rates


def _own_seconds():
    """Processor time of this process and of its children that have ended."""
    return sum(os.times()[:4])


def _busy_seconds():
    """Seconds that all cores together were busy since boot, whoever used them; 0 where the system does not say."""
    file = Path("/proc/stat")
    if not file.exists():
        return 0.0
    values = [int(value) / os.sysconf("SC_CLK_TCK") for value in file.read_text().split("\n")[0].split()[1:]]
    return sum(values[:3]) + sum(values[5:8])


def _processor():
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    return next((line.split(":")[1].strip() for line in lines if "model name" in line), platform.processor())


def _gpu():
    """The first one's name, by its driver: importing torch would make a driver of benchmarks large."""
    asked = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    if shutil.which(asked[0]) is None:
        return ""
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.partition("\n")[0].strip()


def _version(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit():
    """The short hash, with a + where files of the product differ from it."""
    here = Path(__file__).parents[1]

    def git(*arguments):
        done = subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "src") else "")
