"""Prefix-tuning: keys and values that are no tokens stand before every window in every layer, and learn with the head.

    attention(q, [P_k; k], [P_v; v])   in each layer, P_k and P_v [p, D] learnt

With `projected` they come out of one small network while they learn, which steadies training, and the network is
thrown away at the end:

    [P_k; P_v] of all layers = W_2 tanh(W_1 e + b_1) + b_2,   e [p, D]

The model is another one from the first step on: a prefix that nobody has trained yet is seen as well. Positions of
tokens begin behind it, as in peft and in the paper, so p tokens fewer fit into a window.

When to use it: a backbone that must stay untouched, or several tasks in one batch. It steers what attention looks at
and changes no feature, so `lora` and `adapter` mostly reach further with encoders; it wants a high rate and more steps.
Cost: 2 p D numbers a layer; with `projected`, D h + 2 L D h more while it learns. Each window attends to p more keys.
Relations: `soft_prompt` puts rows before the first layer only and lets the layers make keys and values of them.
Reference: Li and Liang 2021, Prefix-Tuning: Optimizing Continuous Prompts for Generation, section 4.3; Liu et al. 2022,
P-Tuning v2 (the same for encoders).
"""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from tunesmith.core.method import Mergeable, Method
from tunesmith.methods._places import own_places
from tunesmith.models.additions import PrefixedCore, ShiftedPositions, with_prefix
from tunesmith.models.attention import AttentionCore, Layout
from tunesmith.models.prompt_slot import PromptSlot

_OWN = (".keys", ".values")
_NETWORK = (".trunk.embedding", ".trunk.weight", ".trunk.bias", ".own_weight", ".own_bias")


class Trunk(nn.Module):
    """tanh(W_1 e + b_1), [p, h], which all layers share."""

    def __init__(self, rows: int, width: int, hidden: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.randn(rows, width))
        first = nn.Linear(width, hidden)
        self.weight, self.bias = first.weight, first.bias

    def forward(self) -> Tensor:
        """[p, h]."""
        return torch.tanh(torch.nn.functional.linear(self.embedding, self.weight, self.bias))


class ProjectedCore(Mergeable):
    """An attention core whose prefix a network makes: W_2 and b_2 are this layer's part of its last product."""

    def __init__(self, base: nn.Module, trunk: Trunk, width: int) -> None:
        super().__init__()
        self.base = base
        self.trunk = trunk
        last = nn.Linear(len(trunk.bias), 2 * width)
        self.own_weight, self.own_bias = last.weight, last.bias

    def prefix(self) -> tuple[Tensor, Tensor]:
        """Keys and values [p, D]."""
        keys, values = torch.nn.functional.linear(self.trunk(), self.own_weight, self.own_bias).chunk(2, 1)
        return keys, values

    def forward(self, qkv: Tensor, layout: Layout, *, heads: int, dropout: float, groups: int = 1) -> Tensor:
        """[N, D + 2 D / groups] to [N, D], as the core does."""
        longer, longer_layout, kept = with_prefix(qkv, layout, *self.prefix())
        mixed: Tensor = self.base(longer, longer_layout, heads=heads, dropout=dropout, groups=groups)
        return mixed.index_select(0, kept)

    def merged(self) -> nn.Module:
        """The core with the prefix as plain numbers."""
        keys, values = self.prefix()
        return PrefixedCore(self.base, keys.detach().clone(), values.detach().clone())


class Prefix(Method):
    """Keys and values before every window learn, and the head."""

    starts_as_identity: ClassVar[bool] = False

    length: int = Field(default=20, ge=1, le=512)
    """p: keys and values of each layer."""
    projected: bool = False
    """Let a small network make them while they learn."""
    hidden: int = Field(default=512, ge=1)
    """h: how wide that network is."""

    @property
    def learning_rate(self) -> float:
        """3e-2 at width 384."""
        return 3e-2

    @property
    def rows(self) -> int:
        """p: the positions before a window's first token are the prefix's."""
        return self.length

    def wrappers(self, places: Mapping[str, nn.Module]) -> Mapping[str, nn.Module]:
        """A core with a prefix in the place of every attention core.

        Raises:
            ConfigError: the backbone is one that transformers runs, where attention has no such place.
        """
        cores = own_places(places, AttentionCore, "prefix")
        widths = {name: _width(places[name.rpartition(".")[0]]) for name in cores}
        slots = own_places(places, PromptSlot, "prefix")
        shifted = {name: ShiftedPositions(slot, self.length) for name, slot in slots.items()}
        if not self.projected:
            return shifted | {name: self._plain(core, widths[name]) for name, core in cores.items()}
        trunk = Trunk(self.length, next(iter(widths.values())), self.hidden)
        return shifted | {name: ProjectedCore(core, trunk, widths[name]) for name, core in cores.items()}

    def trained(self, names: Iterable[str]) -> frozenset[str]:
        """Keys and values, or the network that makes them, and the head."""
        return frozenset(name for name in names if name.startswith("head.") or name.endswith(_OWN + _NETWORK))

    def _plain(self, core: nn.Module, width: int) -> PrefixedCore:
        return PrefixedCore(core, torch.randn(self.length, width) * 0.02, torch.randn(self.length, width) * 0.02)


def _width(attention: Any) -> int:  # noqa: ANN401  # any attention with a `key` layer
    """How wide the keys of an attention are."""
    return int(attention.key.out_features)
