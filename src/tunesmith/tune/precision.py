"""Number format and device, chosen by measuring the machine for about 50 ms.

bf16 (8 bits of mantissa) doubles the matrix-multiply rate where the processor has instructions for it and is slower
than fp32 where it has not; no name or flag says which as surely as one product of the model's own shape does. Products
are then bf16, while an fp32 master of every weight that learns takes the updates, which would otherwise be rounded away
(Micikevicius et al. 2018, Mixed Precision Training, section 3.1). What a processor and a GPU do, form.py tells.
"""

import time
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F

from tunesmith.core.errors import ConfigError, Place

Precision = Literal["fp32", "bf16"]
TOKENS = 320
WORTHWHILE = 1.25


@dataclass(frozen=True, slots=True)
class Choice:
    """The format, why, and the measured rates (GFLOP/s; None where nothing had to be measured)."""

    precision: Precision
    reason: str
    fp32_gflops: float | None = None
    bf16_gflops: float | None = None

    def as_record(self) -> dict[str, Any]:
        """JSON-ready; `Choice(**record)` is equal."""
        return asdict(self)


def choose(wanted: Literal["auto", "fp32", "bf16"], *, width: int, device: torch.device) -> Choice:
    """What "auto" means here for a model of `width`, or the wanted format itself.

    Raises:
        ConfigError: bf16 is wanted on a GPU that has no such format.
    """
    if wanted != "auto":
        require(wanted, device)
        return Choice(wanted, "set in the configuration")
    if not _has("bf16", device):
        return Choice("fp32", "this GPU has no bf16")
    fp32, bf16 = gemm_rates(width, device)
    if bf16 >= WORTHWHILE * fp32:
        return Choice("bf16", f"matrix products run {bf16 / fp32:.1f} times as fast in bf16", fp32, bf16)
    return Choice("fp32", f"bf16 would bring only {bf16 / fp32:.1f} times the fp32 rate", fp32, bf16)


def require(precision: Precision, device: torch.device) -> None:
    """Refuse a format that the device would only imitate.

    Raises:
        ConfigError: bf16 on a GPU that has no such format.
    """
    if not _has(precision, device):
        raise ConfigError(
            "this GPU has no bf16",
            code="TS-TUNE-003",
            place=Place(key="train.precision"),
            fix='write precision = "auto" or "fp32".',
        )


def _has(precision: Precision, device: torch.device) -> bool:
    emulates = device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False)
    return precision == "fp32" or not emulates


def gemm_rates(width: int, device: torch.device, *, seconds: float = 0.05) -> tuple[float, float]:
    """Best observed GFLOP/s of [320, D] x [D, 4 D] in fp32 and bf16, taken in turns for about `seconds`."""
    left = torch.ones(TOKENS, width, device=device)
    right = torch.ones(4 * width, width, device=device)
    pairs = [(left.to(dtype), right.to(dtype)) for dtype in (torch.float32, torch.bfloat16)]
    best = [float("inf"), float("inf")]
    deadline = time.perf_counter() + seconds
    rounds = 0
    with torch.inference_mode():
        while time.perf_counter() < deadline or rounds < 3:
            rounds += 1
            for index, (a, b) in enumerate(pairs):
                best[index] = min(best[index], _timed(a, b))
    operations = 2 * TOKENS * width * 4 * width
    fp32, bf16 = (round(operations / took / 1e9, 1) for took in best)
    return fp32, bf16


def _timed(a: torch.Tensor, b: torch.Tensor) -> float:
    if a.device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    F.linear(a, b)
    if a.device.type == "cuda":
        torch.cuda.synchronize()
    return max(time.perf_counter() - start, 1e-9)


def choose_device(wanted: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """The device to train on.

    Raises:
        ConfigError: a GPU is wanted and there is none; nothing falls back in silence.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "there is no usable GPU",
            code="TS-TUNE-004",
            place=Place(key="train.device"),
            fix='write device = "auto" or "cpu".',
        )
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")
