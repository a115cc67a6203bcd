"""Linear layers whose weights were laid out once in the blocks that the processor's matrix products read.

Without that, every product lays them out again: at the twenty rows of a short text this costs as much as the product.
What stands behind it (bias, activation, the residual sum) is computed while a block is still in the cache.

oneDNN does the work, through the operators that torch's own compiler emits. Where torch was built without them, or
the processor has no such product in bf16, the same sums are computed in torch's ordinary way.

Shapes: N rows, I inputs, O outputs.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from tunesmith.models.activations import ACTIVATIONS
from tunesmith.models.shape import Activation

_NAMES: dict[Activation, tuple[str, str]] = {
    "gelu": ("gelu", "none"),
    "gelu_new": ("gelu", "tanh"),
    "gelu_pytorch_tanh": ("gelu", "tanh"),
    "relu": ("relu", ""),
    "silu": ("swish", ""),
}
"""What oneDNN calls the activations, and the variant."""
_FEW = 32
"""Rows at which a sum by itself is faster: oneDNN copies the residual before it adds"""


class PackedLinear:
    """`x W^T + b`, with what follows it. For inference only: it has no gradient and no parameters."""

    def __init__(self, weight: Tensor, bias: Tensor | None, *, dtype: torch.dtype) -> None:
        """Copies of `weight` [O, I] and `bias` [O] that compute in `dtype`. On a GPU there is nothing to pack."""
        weight, self._bias = weight.detach().to(dtype), None if bias is None else bias.detach().to(dtype)
        self._packed = weight.device.type == "cpu" and packs(dtype)
        self._weight: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight) if self._packed else weight

    def __call__(self, x: Tensor) -> Tensor:
        """[N, I] to [N, O]."""
        return self._fused(x, "none", "") if self._packed else F.linear(x, self._weight, self._bias)

    def activated(self, x: Tensor, activation: Activation) -> Tensor:
        """[N, I] to [N, O], through an activation."""
        if self._packed:
            return self._fused(x, *_NAMES[activation])
        return ACTIVATIONS[activation](F.linear(x, self._weight, self._bias))

    def added(self, x: Tensor, residual: Tensor) -> Tensor:
        """[N, I] to [N, O], on top of `residual` [N, O]."""
        if not self._packed:
            return residual + F.linear(x, self._weight, self._bias)
        return self(x).add_(residual) if len(x) <= _FEW else self._combined(x, residual, "add")

    def multiplied(self, x: Tensor, factor: Tensor) -> Tensor:
        """[N, I] to [N, O], times `factor` [N, O]."""
        if self._packed:
            return self._combined(x, factor, "mul")
        return factor * F.linear(x, self._weight, self._bias)

    def _combined(self, x: Tensor, other: Tensor, name: str) -> Tensor:
        found: Tensor = torch.ops.mkldnn._linear_pointwise.binary(x, other, self._weight, self._bias, name)
        return found

    def _fused(self, x: Tensor, name: str, variant: str) -> Tensor:
        found: Tensor = torch.ops.mkldnn._linear_pointwise.default(x, self._weight, self._bias, name, [], variant)
        return found


def packs(dtype: torch.dtype) -> bool:
    """Whether this torch on this processor multiplies by packed weights of the type."""
    if not (torch.backends.mkldnn.enabled and torch.backends.mkldnn.is_available()):  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return False
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return dtype == torch.float32
