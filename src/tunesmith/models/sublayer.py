"""The product that ends attention or the feed-forward part, in the form that only answers.

Shapes: N rows, I inputs, D width.
"""

import torch
from torch import Tensor, nn

from tunesmith.core.errors import ConfigError, Place
from tunesmith.models.additions import Bottleneck, squeezed
from tunesmith.models.packed import PackedLinear
from tunesmith.models.surgery import plain


class Sublayer:
    """A linear layer before a residual sum, with the bottleneck behind it where there is one."""

    def __init__(self, trained: nn.Module, dtype: torch.dtype) -> None:
        """`trained` is left as it is; what a method put around its weights is merged.

        Raises:
            ConfigError: something else stands in its place.
        """
        layer = plain(trained)
        self._behind: tuple[Tensor, ...] = ()
        if isinstance(layer, Bottleneck):
            own = (layer.down_weight, layer.down_bias, layer.up_weight, layer.up_bias)
            self._behind = tuple(tensor.detach().to(dtype) for tensor in own)
            layer = plain(layer.base)
        found = linear(layer)
        self._linear = PackedLinear(found.weight, found.bias, dtype=dtype)

    def added(self, x: Tensor, residual: Tensor) -> Tensor:
        """[N, I] to [N, D], on top of `residual` [N, D]."""
        if not self._behind:
            return self._linear.added(x, residual)
        down, down_bias, up, up_bias = self._behind
        return residual + squeezed(self._linear(x), down, down_bias, up, up_bias)


def linear(module: nn.Module) -> nn.Linear:
    """The linear layer that a module is, with what a method put around its weights merged.

    Raises:
        ConfigError: it is none, and there is no other form of what it computes.
    """
    layer = plain(module)
    if not isinstance(layer, nn.Linear):
        raise ConfigError(
            f"a {type(layer).__name__} in the place of a linear layer has no form that only answers",
            code="TS-MODEL-081",
            place=Place(key="method"),
            fix="merge what the method put there, or answer with the model as it was trained.",
        )
    return layer
