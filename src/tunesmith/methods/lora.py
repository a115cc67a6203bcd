"""LoRA: a low-rank update of chosen weights learns, beside the head; the weights themselves are frozen.

    W' = W + (alpha / r) B A,   A [r, in] random, B [out, r] zero, so that W' = W at the start

The update is folded into the weight once in each forward pass and the layer runs as if it were plain: one product of
[N, in] with [in, out], however many tokens there are.

When to use it: little memory, many tasks over one backbone, few rows, or a backbone that must not forget. `full`
reaches a little further with many rows.
Cost: r (in + out) parameters for each target. Dropout on the input of A, which some implementations offer, has no place
in this form: what is dropped differs from row to row, and a folded weight is one for all rows. Use the backbone's
dropout or R-Drop.
Relations: `full` updates W itself; `head_only` is LoRA with no target.
Reference: Hu et al. 2021, LoRA: Low-Rank Adaptation of Large Language Models.
"""

import copy
import difflib
import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from tunesmith.core.errors import ConfigError, Place
from tunesmith.core.method import Mergeable, Method


class LowRank(Mergeable):
    """A linear layer whose `weight` is W + scale * B A. W and the bias are frozen."""

    def __init__(self, base: nn.Linear, rank: int, *, scale: float) -> None:
        """A gets the start of a linear layer, U(-1/sqrt(in), 1/sqrt(in)); B is zero. `scale` is alpha / rank."""
        super().__init__()
        self.base = base
        self.scale = scale
        self.lora_A = nn.Parameter(base.weight.new_empty(rank, base.in_features))
        self.lora_B = nn.Parameter(base.weight.new_zeros(base.out_features, rank))
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))

    @property
    def weight(self) -> Tensor:
        """[out, in]: the frozen weight with the update folded in, computed anew at each access."""
        return torch.addmm(self.base.weight, self.lora_B, self.lora_A, alpha=self.scale)

    @property
    def bias(self) -> Tensor | None:
        """[out], the frozen layer's own."""
        return self.base.bias

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] to [..., out]."""
        return F.linear(x, self.weight, self.bias)

    def merged(self) -> nn.Module:
        """The plain layer with the update in its weight."""
        with torch.no_grad():
            plain = copy.deepcopy(self.base)
            plain.weight.copy_(self.weight)
        return plain


class Lora(Method):
    """Low-rank updates of the layers that `targets` names; the head learns in full."""

    rank: int = Field(default=8, ge=1)
    """r: how many directions an update has, at most the width of the layer."""
    alpha: float = Field(default=16.0, gt=0.0)
    """The update is scaled by alpha / rank, so that a rate that works at one rank works at another."""
    targets: list[str] = Field(default=["query", "value"], min_length=1)
    """Which linear layers get an update: the last part, or the last parts, of their names in the backbone."""

    @property
    def learning_rate(self) -> float:
        """2e-3 at width 384: an update that starts at zero bears ten times the rate of full tuning."""
        return 2e-3

    def check(self, places: Mapping[str, nn.Module]) -> None:
        """Refuse targets that are not there and a rank that is no low rank.

        Raises:
            ConfigError: at `method.targets` or `method.rank`.
        """
        layers = {name: module for name, module in places.items() if isinstance(module, nn.Linear)}
        for target in self.targets:
            if not any(_is_target(name, target) for name in layers):
                raise _no_target(target, layers)
        for name, layer in layers.items():
            width = min(layer.in_features, layer.out_features)
            if self.rank > width and self._chosen(name):
                raise ConfigError(
                    f"rank {self.rank} is above the width {width} of {name}",
                    code="TS-METHOD-002",
                    place=Place(key="method.rank"),
                    fix=f"take at most {width}; 4 to 32 is usual.",
                )

    def wrap(self, name: str, module: nn.Module) -> nn.Module | None:
        """A `LowRank` layer around each target."""
        if not isinstance(module, nn.Linear) or not self._chosen(name):
            return None
        return LowRank(module, self.rank, scale=self.alpha / self.rank)

    def trains(self, parameter_name: str) -> bool:
        """A and B of every target, and the head."""
        return parameter_name.startswith("head.") or parameter_name.endswith((".lora_A", ".lora_B"))

    def _chosen(self, name: str) -> bool:
        return any(_is_target(name, target) for target in self.targets)


def _is_target(name: str, target: str) -> bool:
    return name == target or name.endswith(f".{target}")


def _no_target(target: str, layers: Mapping[str, nn.Linear]) -> ConfigError:
    known = sorted({name.rpartition(".")[2] for name in layers})
    near = difflib.get_close_matches(target, known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return ConfigError(
        f"no linear layer of this backbone is called {target!r}",
        code="TS-METHOD-001",
        place=Place(key="method.targets"),
        fix=f"{hint}It has: {', '.join(known)}.",
    )
