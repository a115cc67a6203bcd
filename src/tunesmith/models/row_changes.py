"""One frozen product for the rows of several models, and on the rows of each what that model changed in the layer.

    y = x W^T + b                                        once, for all rows
    y := factor * (W (before * x) + b) + up (down x) + shift,  then behind(y)      on the rows of one model

A change costs what its own size costs: of rank r, r (I + O) products a row.
Sources: Hu et al. 2021, LoRA, section 4.1; Sheng et al. 2023, S-LoRA, section 5 (many updates in one batch).

Shapes: N rows, I inputs, O outputs, r directions of an update.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from tunesmith.core.errors import ConfigError, Place
from tunesmith.models.activations import ACTIVATIONS
from tunesmith.models.additions import Bottleneck, Update, squeezed
from tunesmith.models.packed import PackedLinear
from tunesmith.models.shape import Activation

Spans = Sequence[tuple[str, slice]]
"""The rows of each model, one after the other"""


@dataclass(frozen=True, slots=True)
class Change:
    """What one model changed in a linear layer; None where it changed nothing of the kind."""

    down: Tensor | None = None
    """[I, r]"""
    up: Tensor | None = None
    """[r, O]"""
    factor: Tensor | None = None
    """[O]"""
    before: Tensor | None = None
    """[I]"""
    shift: Tensor | None = None
    """[O]"""
    behind: tuple[Tensor, ...] = ()
    """Weights and biases of a bottleneck"""

    @property
    def adds(self) -> bool:
        """Whether it only adds to what the layer gives, so that the order of sums does not matter."""
        return self.factor is None and self.before is None and not self.behind

    @property
    def nothing(self) -> bool:
        """Whether the layer is as it was."""
        return self.adds and self.down is None and self.shift is None

    def onto(self, y: Tensor, x: Tensor) -> None:
        """Change what the frozen layer gives [n, O], in place; `x` [n, I] is what it was given."""
        if self.factor is not None:
            y.mul_(self.factor)
        if self.down is not None and self.up is not None:
            y.addmm_(x @ self.down, self.up)
        if self.shift is not None:
            y.add_(self.shift)
        if self.behind:
            y.copy_(squeezed(y, *self.behind))


def change(frozen: nn.Linear, own: nn.Module, dtype: torch.dtype) -> Change:
    """How `own`, which stands around the weight of `frozen`, differs from it.

    Raises:
        ConfigError: something that is not known stands there.
    """
    match own:
        case Bottleneck():
            parts = (own.down_weight, own.down_bias, own.up_weight, own.up_bias)
            return replace(change(frozen, own.base, dtype), behind=tuple(_cast(part, dtype) for part in parts))
        case Update():
            down, up = (None if part is None else _cast(part.T, dtype) for part in (own.down, own.up))
            factor, before = (None if part is None else _cast(part, dtype) for part in (own.factor, own.before))
            return Change(down, up, factor, before, _shift(frozen, own.bias, own.factor, dtype))
        case nn.Linear() if own.weight is frozen.weight:
            return Change(shift=_shift(frozen, own.bias, None, dtype))
        case _:
            raise no_form(own)


def side_by_side(changes: Sequence[Change], outputs: Sequence[int]) -> Change:
    """The change of a layer whose outputs are those of several, which are all given the same rows.

    Raises:
        ConfigError: one of them changes what it is given, or goes on behind.
    """
    if any(one.before is not None or one.behind for one in changes):
        raise no_form(None)
    pairs = list(zip(changes, outputs, strict=True))
    like = next((part for one in changes for part in (one.down, one.factor, one.shift) if part is not None), None)
    if like is None:
        return Change()
    ups = [like.new_zeros(0, width) if one.up is None else one.up for one, width in pairs]
    downs = [one.down for one in changes if one.down is not None]
    factors = [like.new_ones(width) if one.factor is None else one.factor for one, width in pairs]
    shifts = [like.new_zeros(width) if one.shift is None else one.shift for one, width in pairs]
    return Change(
        down=torch.cat(downs, 1).contiguous() if downs else None,
        up=_diagonal(ups) if downs else None,
        factor=torch.cat(factors) if any(one.factor is not None for one in changes) else None,
        shift=torch.cat(shifts) if any(one.shift is not None for one in changes) else None,
    )


class ChangedLinear:
    """A frozen linear layer in the form that answers, with the changes of several models by their names."""

    def __init__(
        self, weight: Tensor, bias: Tensor | None, changes: Mapping[str, Change], *, dtype: torch.dtype
    ) -> None:
        self._linear = PackedLinear(weight, bias, dtype=dtype)
        self._changes = {name: one for name, one in changes.items() if not one.nothing}

    def __call__(self, x: Tensor, spans: Spans) -> Tensor:
        """[N, I] to [N, O]."""
        own = self._own(spans)
        return self._changed(x, own) if own else self._linear(x)

    def activated(self, x: Tensor, activation: Activation, spans: Spans) -> Tensor:
        """[N, I] to [N, O], through an activation."""
        own = self._own(spans)
        return ACTIVATIONS[activation](self._changed(x, own)) if own else self._linear.activated(x, activation)

    def added(self, x: Tensor, residual: Tensor, spans: Spans) -> Tensor:
        """[N, I] to [N, O], on top of `residual` [N, O]."""
        own = self._own(spans)
        if not all(one.adds for one, _ in own):
            return self._changed(x, own).add_(residual)
        y = self._linear.added(x, residual)
        for one, rows in own:
            one.onto(y[rows], x[rows])
        return y

    def _own(self, spans: Spans) -> list[tuple[Change, slice]]:
        return [(self._changes[name], rows) for name, rows in spans if name in self._changes]

    def _changed(self, x: Tensor, own: Sequence[tuple[Change, slice]]) -> Tensor:
        given = x.clone() if any(one.before is not None for one, _ in own) else x
        for one, rows in own:
            if one.before is not None:
                given[rows].mul_(one.before)
        y = self._linear(given)
        for one, rows in own:
            one.onto(y[rows], x[rows])
        return y


def _shift(frozen: nn.Linear, bias: Tensor | None, factor: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """bias - factor * b: what is missing behind factor * (W x + b)."""
    if bias is None or frozen.bias is None or (bias is frozen.bias and factor is None):
        return None
    return _cast(bias - (frozen.bias if factor is None else factor * frozen.bias), dtype)


def _diagonal(blocks: Sequence[Tensor]) -> Tensor:
    """[r_1 + .. , O_1 + ..] with the blocks [r_i, O_i] on the diagonal."""
    made: Tensor = torch.block_diag(*blocks)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return made.contiguous()


def _cast(part: Tensor, dtype: torch.dtype) -> Tensor:
    return part.detach().to(dtype).contiguous()


def no_form(own: nn.Module | None) -> ConfigError:
    """The error of a change that is known to training, and not to models that share a pass."""
    what = "a change of what a layer is given" if own is None else f"a {type(own).__name__}"
    return ConfigError(
        f"{what} cannot stand beside other models here",
        code="TS-MODEL-089",
        place=Place(key="method"),
        fix="serve this model from a bundle of its own.",
    )
