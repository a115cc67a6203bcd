"""The update of one layer as peft's tensors, and the wrapped layer that such tensors make.

    LORA     lora_A [r, in]   lora_B [out, r]   lora_magnitude_vector [out] with DoRA
             lora_embedding_A [r, V]   lora_embedding_B [D, r] of a table
    ADALORA  lora_A [r, in]   lora_B [out, r]   lora_E [r, 1]
    IA3      ia3_l [out, 1], or [1, in] where the factors stand before the layer

An update that began with the weight's own directions is written as what it adds to the weight, at twice the rank.
"""

import math
import re
from collections.abc import Mapping, Sequence

import torch
from torch import nn

from tunesmith.methods._low_rank import Decomposed, LowRank, since_start
from tunesmith.methods._low_rank_table import LowRankTable
from tunesmith.methods._peft_folder import PeftFolder
from tunesmith.methods._peft_fused import Parts, taken_apart
from tunesmith.methods.adalora import Singular
from tunesmith.methods.ia3 import Scaled

Wrapped = LowRank | Decomposed | LowRankTable | Singular | Scaled
Plain = nn.Linear | nn.Embedding
LINEAR = frozenset({"lora_A", "lora_B"})
"""What is a layer of its own in peft's LORA, whose weight it is, and a tensor in its ADALORA"""
_WANTED: Mapping[str, frozenset[str]] = {
    "LORA": LINEAR,
    "ADALORA": LINEAR | {"lora_E"},
    "IA3": frozenset({"ia3_l"}),
}
"""The parts of an update by `peft_type`"""
_TABLE = frozenset({"lora_embedding_A", "lora_embedding_B"})


def base_of(module: Wrapped | Plain) -> Plain:
    """The layer itself, without the update around it."""
    return module.base if isinstance(module, Wrapped) else module


def tensors_of(layer: Wrapped) -> Parts:
    """The tensors of the update around a layer."""
    match layer:
        case LowRank() | Decomposed():
            down, up = since_start(layer)
            own = {"lora_A": down, "lora_B": up}
            return own | ({"lora_magnitude_vector": layer.magnitude} if isinstance(layer, Decomposed) else {})
        case LowRankTable():
            return {"lora_embedding_A": layer.lora_A.T, "lora_embedding_B": layer.lora_B}
        case Singular():
            return {"lora_A": layer.lora_A, "lora_B": layer.lora_B, "lora_E": layer.lora_E}
        case Scaled():
            return {"ia3_l": layer.factors[None] if layer.inputs else layer.factors[:, None]}


def layers_with(kind: str, bases: Sequence[Plain], update: Parts, layer: str, found: PeftFolder) -> list[Wrapped]:
    """The wrapped layers that an update of one layer in peft makes of one of ours, or of its parts."""
    wanted = set(_TABLE if kind == "LORA" and isinstance(bases[0], nn.Embedding) else _WANTED[kind])
    if kind == "LORA" and found.config.get("use_dora"):
        wanted.add("lora_magnitude_vector")
    if update.keys() != wanted:
        raise found.unfit(layer, "half an update: one of its parts is missing")
    if any(not tensor.numel() or not tensor.ndim for tensor in update.values()):
        raise found.unfit(layer, "empty")
    heights = [len(base.weight) for base in bases]
    high, wide, rank = sum(heights), bases[0].weight.shape[1], rank_of(update)
    before = kind == "IA3" and len(update["ia3_l"]) == 1 and (high > 1 or layer in _inner(found))
    shapes = {
        "lora_A": (rank, wide),
        "lora_B": (high, rank),
        "lora_E": (rank, 1),
        "lora_magnitude_vector": (high,),
        "lora_embedding_A": (rank, high),
        "lora_embedding_B": (wide, rank),
        "ia3_l": (1, wide) if before else (high, 1),
    }
    for name, tensor in update.items():
        found.check_shape(f"{layer}.{name}", tensor, shapes[name])
    scale = 1.0
    if kind == "LORA":
        found.whole_number("r")
        scale = _alpha(found, layer) / (math.sqrt(rank) if found.config.get("use_rslora") else rank)
    elif kind == "ADALORA":
        scale = found.number("lora_alpha") / found.whole_number("init_r")
    own = taken_apart(update, heights) if len(bases) > 1 else [update]
    return [_around(base, part, scale=scale, before=before) for base, part in zip(bases, own, strict=True)]


def rank_of(update: Parts) -> int:
    """r; 0 of factors."""
    return next((len(update[name]) for name in ("lora_A", "lora_embedding_A") if name in update), 0)


@torch.no_grad()
def _around(base: Plain, update: Parts, *, scale: float, before: bool) -> Wrapped:
    """A layer with an update of its own."""
    if isinstance(base, nn.Embedding):
        table = LowRankTable(base, rank_of(update), scale=scale)
        table.lora_A.copy_(update["lora_embedding_A"].T)
        table.lora_B.copy_(update["lora_embedding_B"])
        return table
    if "ia3_l" in update:
        scaled = Scaled(base, inputs=before)
        scaled.factors.copy_(update["ia3_l"].reshape(-1))
        return scaled
    kind = Singular if "lora_E" in update else Decomposed if "lora_magnitude_vector" in update else LowRank
    made = kind(base, len(update["lora_A"]), scale=scale)
    made.lora_A.copy_(update["lora_A"])
    made.lora_B.copy_(update["lora_B"])
    if isinstance(made, Singular):
        made.lora_E.copy_(update["lora_E"])
    if isinstance(made, Decomposed):
        made.magnitude.copy_(update["lora_magnitude_vector"])
    return made


def _alpha(found: PeftFolder, layer: str) -> float:
    """`lora_alpha`, or what `alpha_pattern` says instead for a layer whose name ends like this.

    peft reads expressions there; names are all that its own methods write, and no stranger's expression is run here.
    """
    patterns = found.config.get("alpha_pattern") or {}
    if not isinstance(patterns, dict) or not all(re.fullmatch(r"[\w.]+", str(key)) for key in patterns):
        raise found.unusable("not numbers by the names of layers", "alpha_pattern")
    for key, alpha in patterns.items():
        if f".{layer}".endswith(f".{key}"):
            if isinstance(alpha, bool) or not isinstance(alpha, int | float) or alpha <= 0:
                raise found.unusable("not a number above 0", f"alpha_pattern.{key}")
            return float(alpha)
    return found.number("lora_alpha")


def _inner(found: PeftFolder) -> list[str]:
    named = found.config.get("feedforward_modules")
    return named if isinstance(named, list) else []
