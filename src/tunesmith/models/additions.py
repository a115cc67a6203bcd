"""What a method may leave in a model for good, because no plain layer computes the same.

    Bottleneck          behind a linear layer:    y + up(gelu(down(y))),   y = base(x)
    Update              beside a linear layer:    factor * W (before * x) + up (down x) + bias
    RowUpdate           beside a table:           E[id] + up rows[id]
    PrefixedCore        around attention:         every query of a window sees P more keys and values
    ShiftedPositions    before the first layer:   positions begin behind the P that a prefix takes
    PromptRows          the same place:           P more rows in front of every window

Each is a plain module that any run may train and any bundle may hold; how its numbers are learnt, the methods say. An
addition that stands around another module keeps that as `base`. The two updates could be folded into what they stand
around, and are not where several share it.
Sources: Houlsby et al. 2019; Pfeiffer et al. 2021; Li and Liang 2021; Lester et al. 2021.

Shapes: N rows, B windows, P rows or keys that are added, D width, E embedding width, V words, S size of a bottleneck.
"""

from collections.abc import Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tunesmith.core.errors import ModelFileError, Place
from tunesmith.core.model import Model
from tunesmith.models.attention import AttentionCore, Layout, lengthened
from tunesmith.models.inserted_rows import insert
from tunesmith.models.prompt_slot import PromptSlot


class Addition(nn.Module):
    """Stands in the place of `base`, and has tensors of its own."""

    base: nn.Module


class Bottleneck(Addition):
    """y + up(gelu(down(y))) for what a linear layer gives."""

    def __init__(self, base: nn.Module, width: int, size: int) -> None:
        """`down` gets N(0, 0.02), `up` and both biases are zero, so that nothing changes at the start."""
        super().__init__()
        self.base = base
        self.down_weight = nn.Parameter(torch.randn(size, width) * 0.02)
        self.down_bias = nn.Parameter(torch.zeros(size))
        self.up_weight = nn.Parameter(torch.zeros(width, size))
        self.up_bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] to [..., D]."""
        return squeezed(self.base(x), self.down_weight, self.down_bias, self.up_weight, self.up_bias)


def squeezed(y: Tensor, down: Tensor, down_bias: Tensor, up: Tensor, up_bias: Tensor) -> Tensor:
    """y + gelu(y down^T + b) up^T + c for y [..., D], `down` [S, D], `up` [D, S]."""
    return y + F.linear(F.gelu(F.linear(y, down, down_bias)), up, up_bias)


class Update(Addition):
    """A linear layer y = W x + b that is left as it is, and what a low-rank update or learnt factors make of it.

        factor * W (before * x) + up (down x) + own_bias

    What is not given changes nothing.
    """

    PARTS = ("down", "up", "factor", "before", "own_bias")

    base: nn.Linear
    down: Tensor | None
    """[r, in]"""
    up: Tensor | None
    """[out, r]"""
    factor: Tensor | None
    """[out]"""
    before: Tensor | None
    """[in]"""
    own_bias: Tensor | None
    """[out], in the place of b"""

    def __init__(self, base: nn.Linear, given: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.base = base
        for name in self.PARTS:
            part = nn.Parameter(given[name].detach().clone(), requires_grad=False) if name in given else None
            self.register_parameter(name, part)

    @property
    def weight(self) -> Tensor:
        """[out, in] with everything folded in, for whoever multiplies by several weights at once."""
        weight = self.base.weight
        if self.before is not None:
            weight = weight * self.before
        if self.factor is not None:
            weight = weight * self.factor[:, None]
        return weight if self.down is None or self.up is None else torch.addmm(weight, self.up, self.down)

    @property
    def bias(self) -> Tensor | None:
        """[out]"""
        return self.base.bias if self.own_bias is None else self.own_bias

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] to [..., out]."""
        y = F.linear(x if self.before is None else x * self.before, self.base.weight)
        if self.factor is not None:
            y = y * self.factor
        if self.down is not None and self.up is not None:
            y = y + F.linear(F.linear(x, self.down), self.up)
        return y if self.bias is None else y + self.bias


class RowUpdate(Addition):
    """A table of embeddings that is left as it is, and what a low-rank update makes of its rows."""

    base: nn.Embedding

    def __init__(self, base: nn.Embedding, rows: Tensor, up: Tensor) -> None:
        """`rows` [V, r] and `up` [E, r]."""
        super().__init__()
        self.base = base
        self.rows = nn.Parameter(rows.detach().clone(), requires_grad=False)
        self.up = nn.Parameter(up.detach().clone(), requires_grad=False)

    def forward(self, ids: Tensor) -> Tensor:
        """Ids of any shape to [..., E]."""
        found: Tensor = self.base(ids)
        return found + row_update(ids, self.rows, self.up)


def row_update(ids: Tensor, rows: Tensor, up: Tensor) -> Tensor:
    """up rows[id] for ids of any shape, [..., E]."""
    return F.linear(F.embedding(ids, rows), up)


class PrefixedCore(Addition):
    """An attention core whose windows begin with P keys and values that are no tokens."""

    def __init__(self, base: nn.Module, keys: Tensor, values: Tensor) -> None:
        """`keys` and `values` [P, D], or [P, D / groups] where query heads share them."""
        super().__init__()
        self.base = base
        self.keys = nn.Parameter(keys)
        self.values = nn.Parameter(values)

    def forward(self, qkv: Tensor, layout: Layout, *, heads: int, dropout: float, groups: int = 1) -> Tensor:
        """[N, D + 2 D / groups] to [N, D], as the core does."""
        longer, longer_layout, kept = with_prefix(qkv, layout, self.keys, self.values)
        mixed: Tensor = self.base(longer, longer_layout, heads=heads, dropout=dropout, groups=groups)
        return mixed.index_select(0, kept)


def with_prefix(qkv: Tensor, layout: Layout, keys: Tensor, values: Tensor) -> tuple[Tensor, Layout, Tensor]:
    """Rows for `keys` and `values` [P, D] before each window, and where the old rows lie. They ask for nothing."""
    query = keys.new_zeros(len(keys), qkv.shape[1] - 2 * keys.shape[1])
    longer, kept = insert(qkv, torch.cat([query, keys, values], 1).to(qkv.dtype), layout.lengths)
    return longer, lengthened(layout, len(keys)), kept


class ShiftedPositions(Addition):
    """No rows, but a window's positions begin at `count`, as if the keys of a prefix had taken those before."""

    count: Tensor

    def __init__(self, base: nn.Module, count: int) -> None:
        super().__init__()
        self.base = base
        self.register_buffer("count", torch.tensor(count))
        self.begin = count

    def forward(self) -> None:
        """None."""
        return None


class PromptRows(Addition):
    """Rows [P, E] before every window, which meet the first layer as words do."""

    begin = 0

    def __init__(self, base: nn.Module, rows: Tensor) -> None:
        super().__init__()
        self.base = base
        self.rows = nn.Parameter(rows)

    def forward(self) -> Tensor:
        """[P, E]."""
        return self.rows


def additions(model: Model) -> Iterator[tuple[str, Addition]]:
    """Every addition of a model with the name of its place."""
    for name, module in model.named_modules():
        if isinstance(module, Addition):
            yield name, module


def additions_state(model: Model) -> dict[str, Tensor]:
    """The tensors of all additions on the CPU, by place and name: `backbone.prompt/rows`."""
    return {
        f"{place}/{name}": tensor.cpu().contiguous()
        for place, addition in additions(model)
        for name, tensor in _own(addition).items()
    }


def add(model: Model, state: Mapping[str, Tensor]) -> None:
    """Put into a plain model what `additions_state` gave of another.

    Raises:
        ModelFileError: a tensor belongs to no place of this model, is missing, or has another shape.
    """
    found: dict[str, dict[str, Tensor]] = {}
    for key, tensor in state.items():
        place, _, name = key.rpartition("/")
        found.setdefault(place, {})[name] = tensor
    for place, tensors in found.items():
        try:
            base = model.get_submodule(place)
        except AttributeError:
            raise _unfit(place, "is of no place of this backbone") from None
        addition = _made(base, tensors, place)
        own = _own(addition)
        for name in own.keys() | tensors.keys():
            if name not in own or name not in tensors or own[name].shape != tensors[name].shape:
                raise _unfit(f"{place}/{name}", "is missing, unknown or of another shape")
        with torch.no_grad():
            for name, tensor in own.items():
                tensor.copy_(tensors[name])
        model.set_submodule(place, addition)


def _own(addition: Addition) -> dict[str, Tensor]:
    """The tensors of an addition, without those of what it stands around."""
    own = (*addition.named_parameters(recurse=False), *addition.named_buffers(recurse=False))
    return {name: tensor.detach() for name, tensor in own}


def _made(base: nn.Module, tensors: Mapping[str, Tensor], place: str) -> Addition:
    match base:
        case nn.Linear() if "down_weight" in tensors and tensors["down_weight"].ndim == 2:
            return Bottleneck(base, base.out_features, len(tensors["down_weight"]))
        case nn.Linear() if tensors.keys() <= set(Update.PARTS):
            rank, into, out = len(tensors.get("down", ())), base.in_features, base.out_features
            shapes = {"down": (rank, into), "up": (out, rank), "factor": (out,), "before": (into,), "own_bias": (out,)}
            paired = tensors.keys() | ({"down", "up"} if tensors.keys() & {"down", "up"} else set())
            return Update(base, {name: torch.empty(shapes[name]) for name in paired})
        case nn.Embedding() if tensors.keys() == {"rows", "up"} and tensors["rows"].ndim == 2:
            rank = tensors["rows"].shape[1]
            rows, up = torch.empty(base.num_embeddings, rank), torch.empty(base.embedding_dim, rank)
            return RowUpdate(base, rows, up)
        case AttentionCore() if "keys" in tensors and "values" in tensors:
            return PrefixedCore(base, torch.empty_like(tensors["keys"]), torch.empty_like(tensors["values"]))
        case PromptSlot() if "count" in tensors and tensors["count"].numel() == 1:
            return ShiftedPositions(base, int(tensors["count"]))
        case PromptSlot() if "rows" in tensors:
            return PromptRows(base, torch.empty_like(tensors["rows"]))
        case _:
            raise _unfit(place, "is of no place of this backbone")


def _unfit(key: str, what: str) -> ModelFileError:
    return ModelFileError(
        f"the tensor {what}",
        code="TS-MODEL-027",
        place=Place(key=key),
        fix="weights, additions and configuration must come from the same model: write the bundle again.",
    )
