"""LoRA: a low-rank update of chosen weights learns, beside the head; the weights themselves are frozen.

    W' = W + scale * B A,   A [r, in] random, B [out, r] zero, so that W' = W at the start
    scale = alpha / r, or with `rank_stabilized` alpha / sqrt(r)

The update is folded into the weight once in each forward pass and the layer runs as if it were plain: one product of
[N, in] with [in, out]. On the way back the gradient of W' is never formed (models/projection.py). A target may be the
table of words as well (_low_rank_table.py), where texts have words of their own.

When to use it: little memory, many tasks over one backbone, few rows, or a backbone that must not forget. `full`
reaches a little further with many rows.
Cost: r (in + out) parameters for each target, and `out` more with `decomposed`; for a table r a word that occurs in
training. Dropout on the input of A, which some implementations offer, has no place in this form: what is dropped
differs from row to row, and a folded weight is one for all rows. Use the backbone's dropout or R-Drop.
Relations: `full` updates W itself; `head_only` is LoRA with no target; `adalora` deals its rank out by importance.
References: Hu et al. 2021, LoRA: Low-Rank Adaptation of Large Language Models; Kalajdzievski 2023 (`rank_stabilized`);
Liu et al. 2024, DoRA (`decomposed`); Meng, Wang and Zhang 2024, PiSSA (`start = "principal"`).
"""

import math
from collections.abc import Iterable, Mapping
from typing import Literal

from pydantic import Field
from torch import nn

from tunesmith.core.method import Method
from tunesmith.methods._low_rank import Decomposed, LowRank, start_principal
from tunesmith.methods._low_rank_table import LowRankTable
from tunesmith.methods._places import EVERY, embedding_tables, linear_layers, require_rank, targeted, unfit

_OWN = (".lora_A", ".lora_B", ".magnitude", ".rows.weight")


class Lora(Method):
    """Low-rank updates of the layers that `targets` names; the head learns in full."""

    rank: int = Field(default=8, ge=1)
    """r: how many directions an update has, at most the width of the layer."""
    alpha: float = Field(default=16.0, gt=0.0)
    """The update is scaled by alpha / rank, so that a rate that works at one rank works at another."""
    targets: list[str] = Field(default=["query", "value"], min_length=1)
    """Which layers get an update: the last part, or the last parts, of their names in the backbone; `query`, `key`,
    `value` and `words` by whatever name they have in it; `all-linear` for every linear layer."""
    rank_stabilized: bool = False
    """Scale by alpha / sqrt(rank): with ranks of some dozens and more, updates then keep their size (rsLoRA)."""
    decomposed: bool = False
    """The update turns the rows of a weight, and their lengths learn on their own (DoRA); a step takes longer."""
    start: Literal["zero", "principal"] = "zero"
    """B begins at zero, or A and B with the largest singular directions of the weight, which learns what is left of
    it no more (PiSSA)."""

    @property
    def learning_rate(self) -> float:
        """4e-3 at width 384 for an update that starts at zero and is scaled by 2, less for a larger scale: half as much
        again breaks some seeds on small files. Half of it where more than two kinds of layers are updated, whose
        changes add up. 4e-4 for an update that starts with the weight's own directions."""
        if self.start != "zero":
            return 4e-4
        wide = len(self.targets) > 2 or EVERY in self.targets
        return (2e-3 if wide else 4e-3) * min(1.0, 2 / self.scale)

    @property
    def scale(self) -> float:
        """What B A is multiplied by."""
        return self.alpha / (math.sqrt(self.rank) if self.rank_stabilized else self.rank)

    def wrappers(self, places: Mapping[str, nn.Module]) -> Mapping[str, nn.Module]:
        """A layer with an update around each target.

        Raises:
            ConfigError: at `method.targets`, or at `method.rank` for one that is no low rank.
        """
        tables = embedding_tables(places)
        known: dict[str, nn.Linear | nn.Embedding] = {**linear_layers(places), **tables}
        layers = targeted(known, self.targets, key="method.targets")
        require_rank(layers, self.rank)
        named = next((name for name in layers if name in tables), None)
        if named and (self.decomposed or self.start != "zero"):
            raise unfit(
                f"{named} is a table of embeddings, whose update is a plain one that starts at zero",
                "method.decomposed" if self.decomposed else "method.start",
                "leave this setting out, or the table out of method.targets.",
            )
        return {name: self._wrapped(layer) for name, layer in layers.items()}

    def trained(self, names: Iterable[str]) -> frozenset[str]:
        """A and B of every target, its row lengths with `decomposed`, and the head."""
        return frozenset(name for name in names if name.startswith("head.") or name.endswith(_OWN))

    def _wrapped(self, layer: nn.Linear | nn.Embedding) -> LowRank | Decomposed | LowRankTable:
        if isinstance(layer, nn.Embedding):
            return LowRankTable(layer, self.rank, scale=self.scale)
        updated = (Decomposed if self.decomposed else LowRank)(layer, self.rank, scale=self.scale)
        if self.start == "principal":
            start_principal(updated)
        return updated
