"""Linear layers side by side as one product, and the short way back where a weight learns by two thin factors only.

    y = x W'^T + b,   W' = W + B A,   W [out, in] frozen, A [r, in], B [out, r]
    dL/dx = dy W',   dL/dB = dy^T (x A^T),   dL/dA = (dy B)^T x

One product uses the whole of W'; its gradient, N in out multiplications, is never formed: A and B want N r (in + out).

Shapes: N rows, r thin.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tunesmith.core.method import LowRankUpdate


def projected(x: Tensor, parts: Sequence[nn.Module]) -> Tensor:
    """[..., in] to [..., sum of out]: what each part makes of x, side by side.

    A part is a linear layer, or what a method put in its place and that exposes `weight` and `bias`. All parts have a
    bias, or none.
    """
    weights, biases = [_weight(part) for part in parts], [_bias(part) for part in parts]
    known = [bias for bias in biases if bias is not None]
    bias = _side_by_side(known) if known else None
    updates = {place: part for place, part in enumerate(parts) if isinstance(part, LowRankUpdate)}
    others = [weight for place, weight in enumerate(weights) if place not in updates]
    alone = torch.is_grad_enabled() and not any(weight.requires_grad for weight in others)
    if not updates or not alone or torch.is_autocast_enabled(x.device.type):
        return F.linear(x, _side_by_side(weights), bias)
    begins = [sum(len(weight) for weight in weights[:place]) for place in updates]
    factors = [factor for part in updates.values() for factor in part.factors]
    weight = _side_by_side([weight.detach() for weight in weights])
    product: Tensor = _Thin.apply(x, weight, bias, begins, *factors)  # type: ignore[no-untyped-call]  # torch leaves apply untyped
    return product


def _weight(part: nn.Module) -> Tensor:
    weight = part.weight
    assert isinstance(weight, Tensor)
    return weight


def _bias(part: nn.Module) -> Tensor | None:
    bias = part.bias
    assert bias is None or isinstance(bias, Tensor)
    return bias


def _side_by_side(tensors: Sequence[Tensor]) -> Tensor:
    return tensors[0] if len(tensors) == 1 else torch.cat(list(tensors))


class _Thin(torch.autograd.Function):
    """The product, with the gradients of x, of the bias, and of the thin factors."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401  # torch's context has no type
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        begins: Sequence[int],
        *factors: Tensor,
    ) -> Tensor:
        """`factors` are A and B of each update, whose rows of `weight` begin at `begins`."""
        ctx.save_for_backward(x, weight, *factors)
        ctx.begins = begins
        return F.linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401  # torch's context has no type
        """As the formulas above."""
        x, weight, *factors = ctx.saved_tensors
        (dy,) = gradients
        dx = dy @ weight if ctx.needs_input_grad[0] else None
        dy, rows = dy.reshape(-1, dy.shape[-1]), x.reshape(-1, x.shape[-1])
        dbias = dy.sum(0) if ctx.needs_input_grad[2] else None
        found: list[Tensor] = []
        for begin, down, up in zip(ctx.begins, factors[::2], factors[1::2], strict=True):
            own = dy[:, begin : begin + len(up)]
            found += [(own @ up).T @ rows, own.T @ (rows @ down.T)]
        return dx, None, dbias, None, *found
