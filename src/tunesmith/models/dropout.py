"""Dropout whose mask is drawn as random bytes: on a CPU three times cheaper than one Bernoulli draw per float.

    y = x * keep / (1 - p'),   keep[i] = byte[i] >= 256 p',   p' = round(256 p) / 256

The probability is rounded to 1/256 (0.1 becomes 0.1016) and the rescaling uses the rounded value, so the mean is exact.
Source: Srivastava et al. 2014, Dropout; the byte mask is ours.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_LOWEST = -(
    2**63
)  # random_ without bounds leaves the sign bit 0, so that every eighth byte would be drawn from half the range


def draw_mask(like: Tensor, threshold: int) -> Tensor:
    """Bytes shaped like `like`: 0 with probability threshold / 256, else 1, from the default generator.

    Bytes and not bools: torch compares and multiplies bytes in vector registers, bools one by one.
    """
    count = like.numel()
    words = torch.empty((count + 7) // 8, dtype=torch.int64).random_(_LOWEST, None)
    drawn = words.view(torch.uint8)[:count].view(like.shape)
    return torch.ge(drawn, threshold, out=torch.empty_like(drawn))


class _ByteDropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, threshold: int) -> Tensor:  # noqa: ANN401  # torch's context has no type
        keep = draw_mask(x, threshold)
        ctx.save_for_backward(keep)
        ctx.scale = 256 / (256 - threshold)
        return (x * keep).mul_(ctx.scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401  # torch's context has no type
        (keep,) = ctx.saved_tensors
        return (gradients[0] * keep).mul_(ctx.scale), None


def byte_threshold(probability: float, device: torch.device) -> int:
    """The byte below which an element is dropped; 0 where the byte mask does not apply (GPU, p near 0 or 1)."""
    threshold = round(probability * 256)
    return threshold if device.type == "cpu" and 0 < threshold < 256 else 0


def dropout(x: Tensor, probability: float) -> Tensor:
    """`x` with elements dropped, any shape and float type; unchanged at probability 0."""
    if probability == 0:
        return x
    threshold = byte_threshold(probability, x.device)
    if not threshold:
        return F.dropout(x, probability)
    dropped: Tensor = _ByteDropout.apply(x, threshold)  # type: ignore[no-untyped-call]  # torch leaves apply untyped
    return dropped


class Dropout(nn.Module):
    """Byte-mask dropout in training mode, nothing in evaluation mode."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        """Any shape in, the same shape out."""
        return dropout(x, self.probability) if self.training else x

    def extra_repr(self) -> str:
        """The probability, for `print(model)`."""
        return f"{self.probability}"
