"""Linear layers whose weight carries a low-rank update, folded in once in each forward pass.

    LowRank      W' = W + scale * B A
    Decomposed   W' = m * (W + scale * B A) / |W + scale * B A|     (norms of rows; no gradient passes through them)

Shapes: A [r, in], B [out, r], m [out].
"""

import copy
import math

import torch
from torch import Tensor, nn

from tunesmith.core.method import LowRankUpdate
from tunesmith.methods._folded import Folded


class LowRank(Folded, LowRankUpdate):
    """A linear layer whose `weight` is W + scale * B A."""

    def __init__(self, base: nn.Linear, rank: int, *, scale: float) -> None:
        """A gets the start of a linear layer, U(-1/sqrt(in), 1/sqrt(in)); B is zero."""
        super().__init__(base)
        self.scale = scale
        self.lora_A, self.lora_B = _begun(base, rank)
        self.start_A: Tensor | None = None
        self.start_B: Tensor | None = None

    @property
    def weight(self) -> Tensor:
        """[out, in]"""
        return torch.addmm(self.base.weight, self.lora_B, self.lora_A, alpha=self.scale)

    @property
    def factors(self) -> tuple[Tensor, Tensor]:
        """A [r, in] and scale * B [out, r]"""
        return self.lora_A, self.scale * self.lora_B

    def update(self) -> dict[str, Tensor]:
        """`down` and `up`; where it began with directions of the weight, those are taken away again."""
        down, up = since_start(self)
        return {"down": down, "up": self.scale * up}


class Decomposed(Folded):
    """A low-rank update that turns the rows of W, whose lengths `magnitude` [out] learns on its own."""

    def __init__(self, base: nn.Linear, rank: int, *, scale: float) -> None:
        """As `LowRank`; `magnitude` is the lengths of the rows of W, so that W' = W at the start."""
        super().__init__(base)
        self.scale = scale
        self.lora_A, self.lora_B = _begun(base, rank)
        self.magnitude = nn.Parameter(_lengths(base.weight.detach()))
        self.start_A: Tensor | None = None
        self.start_B: Tensor | None = None

    @property
    def weight(self) -> Tensor:
        """[out, in]"""
        turned = torch.addmm(self.base.weight, self.lora_B, self.lora_A, alpha=self.scale)
        return turned * self._stretch(turned)[:, None]

    def update(self) -> dict[str, Tensor]:
        """`factor`, which stretches rows of the plain weight and of the update alike, with `down` and `up`."""
        factor = self._stretch(torch.addmm(self.base.weight, self.lora_B, self.lora_A, alpha=self.scale))
        down, up = since_start(self)
        return {"down": down, "up": factor[:, None] * self.scale * up, "factor": factor}

    def _stretch(self, turned: Tensor) -> Tensor:
        """[out]: what the rows of the turned weight are multiplied by."""
        return self.magnitude / _lengths(turned.detach())


def since_start(layer: LowRank | Decomposed) -> tuple[Tensor, Tensor]:
    """A [r, in] and B [out, r] of what was added to the weight as it was pretrained.

    An update that began with the weight's own directions has twice the rank: they are taken away again.
    """
    if layer.start_A is None or layer.start_B is None:
        return layer.lora_A, layer.lora_B
    return torch.cat([layer.lora_A, layer.start_A]), torch.cat([layer.lora_B, -layer.start_B], 1)


def start_principal(layer: LowRank | Decomposed) -> None:
    """Let A and B hold the largest singular directions of W, and W what is left: W' is what it was, up to rounding.

    W = U S V^T;   A = sqrt(S_r / scale) V_r^T,   B = U_r sqrt(S_r / scale),   W := W - scale * B A
    Source: Meng, Wang and Zhang 2024, PiSSA, section 3.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the same digits whatever number of threads a run goes on with
    try:
        left, sizes, right = torch.linalg.svd(layer.base.weight.detach().float(), full_matrices=False)
    finally:
        torch.set_num_threads(threads)
    rank = len(layer.lora_A)
    root = (sizes[:rank] / layer.scale).sqrt()
    layer.base = copy.deepcopy(layer.base)
    with torch.no_grad():
        layer.lora_A.copy_(root[:, None] * right[:rank])
        layer.lora_B.copy_(left[:, :rank] * root)
        layer.base.weight.sub_(layer.scale * (layer.lora_B @ layer.lora_A))
    layer.start_A, layer.start_B = layer.lora_A.detach().clone(), layer.lora_B.detach().clone()


def _begun(base: nn.Linear, rank: int) -> tuple[nn.Parameter, nn.Parameter]:
    """A and B at their start."""
    a = nn.Parameter(base.weight.new_empty(rank, base.in_features))
    nn.init.kaiming_uniform_(a, a=math.sqrt(5))
    return a, nn.Parameter(base.weight.new_zeros(base.out_features, rank))


def _lengths(weight: Tensor) -> Tensor:
    """[out, in] to the Euclidean norm of each row, [out]."""
    lengths: Tensor = torch.linalg.vector_norm(weight, dim=1)
    return lengths
