"""A linear layer whose weight a method changes, and which otherwise runs as if it were plain."""

import copy
from abc import abstractmethod

import torch
from torch import Tensor, nn

from tunesmith.core.method import Mergeable
from tunesmith.models.projection import projected


class Folded(Mergeable):
    """Stands around `base`, whose own weight and bias are frozen, and computes `weight` anew at each access."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base = base

    @property
    @abstractmethod
    def weight(self) -> Tensor:
        """[out, in] with what was learnt folded in."""

    @property
    def bias(self) -> Tensor | None:
        """[out], the frozen layer's own."""
        return self.base.bias

    @abstractmethod
    def update(self) -> dict[str, Tensor]:
        """The same as parts of an `Update` beside the layer as it was pretrained: nothing is folded in."""

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] to [..., out]."""
        return projected(x, (self,))

    def merged(self) -> nn.Module:
        """The plain layer with what was learnt in its weight and bias."""
        with torch.no_grad():
            plain = copy.deepcopy(self.base)
            plain.weight.copy_(self.weight)
            if self.bias is not None:
                plain.bias.copy_(self.bias)
        return plain
