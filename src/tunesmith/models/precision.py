"""Number formats of a model, and which is faster here: measured for about 50 ms.

bf16 (8 bits of mantissa) doubles the matrix-multiply rate where the processor has instructions for it and is slower
than fp32 where it has not; no name or flag says which as surely as one product of the model's own shape does.
"""

import time
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F

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


def faster(width: int, device: torch.device) -> Choice:
    """The format in which a model of `width` computes faster on `device`; fp32 where the gain is small."""
    fp32, bf16 = gemm_rates(width, device)
    if bf16 >= WORTHWHILE * fp32:
        return Choice("bf16", f"matrix products run {bf16 / fp32:.1f} times as fast in bf16", fp32, bf16)
    return Choice("fp32", f"bf16 would bring only {bf16 / fp32:.1f} times the fp32 rate", fp32, bf16)


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
