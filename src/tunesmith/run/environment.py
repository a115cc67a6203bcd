"""What machine and which versions made a result."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from tunesmith.core.memory import peak_memory

PACKAGES = ("tunesmith", "torch", "transformers", "tokenizers", "numpy", "scikit-learn")


def environment() -> dict[str, Any]:
    """Machine, processor, GPU if used, Python, package versions, and the most memory this process held so far (MB)."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        **({"gpu": torch.cuda.get_device_name()} if peak_gpu_memory() else {}),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "peak_rss_mb": round(peak_memory() / 1e6, 1),
    }


def peak_gpu_memory() -> int | None:
    """The most bytes of the GPU that tensors took so far; None where this process used none.

    What the allocator keeps beside them it gives back where that is needed, and is chance.
    """
    return torch.cuda.max_memory_allocated() or None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    if facts.is_file():
        for line in facts.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
