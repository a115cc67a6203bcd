"""RMSNorm with few passes over memory.

    y = x r w,   r = 1 / sqrt(mean(x^2) + epsilon)
    dL/dx = r (g - x r^2 mean(g x)),   g = dy w

torch computes it on a processor as a chain of six operations, each with a new tensor and its own way back.

Source: Zhang and Sennrich 2019, Root Mean Square Layer Normalization.
"""

from typing import Any

import torch
from torch import Tensor, nn


class RootMeanSquareNorm(nn.RMSNorm):
    """torch's module; where a gradient is wanted on a processor it goes the short way."""

    def forward(self, x: Tensor) -> Tensor:
        """[..., D] to [..., D]."""
        if x.device.type != "cpu" or not torch.is_grad_enabled():
            return super().forward(x)
        assert self.eps is not None
        normed: Tensor = _Normed.apply(x, self.weight, self.eps)  # type: ignore[no-untyped-call]  # torch leaves apply untyped
        return normed


class _Normed(torch.autograd.Function):
    """As the formulas above, the sums in fp32."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:  # noqa: ANN401  # torch's context has no type
        """y"""
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.promote_types(x.dtype, torch.float32))
        scale = length.square_().div_(x.shape[-1]).add_(epsilon).rsqrt_()
        ctx.save_for_backward(x, weight, scale)
        y: Tensor = (x * scale).mul_(weight)
        return y.to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401  # torch's context has no type
        """Of x and of w."""
        x, weight, scale = ctx.saved_tensors
        (dy,) = gradients
        dw = None
        if ctx.needs_input_grad[1]:
            rows, slopes = (x * scale.to(x.dtype)).flatten(0, -2), dy.flatten(0, -2)
            dw = torch.linalg.vecdot(rows, slopes, dim=0)
        if not ctx.needs_input_grad[0]:
            return None, dw, None
        g = dy * weight
        along = torch.linalg.vecdot(g, x).unsqueeze(-1).mul_(scale.square()).div_(-x.shape[-1])
        return g.addcmul_(x, along).mul_(scale), dw, None
