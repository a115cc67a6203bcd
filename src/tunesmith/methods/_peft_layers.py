"""Layers with an update as peft names them: LORA with DoRA and rank stabilisation, ADALORA, IA3.

    <layer>.lora_A.weight [r, in]   <layer>.lora_B.weight [out, r]   <layer>.lora_magnitude_vector [out]
    <layer>.lora_A [r, in]          <layer>.lora_B [out, r]          <layer>.lora_E [r, 1]
    <layer>.ia3_l [out, 1], or [1, in] where the factors stand before the layer
    <table>.lora_embedding_A [r, V]   <table>.lora_embedding_B [D, r]

An update that began with the weight's own directions is written as what it adds to the weight, at twice the rank.
Layers that transformers holds as one have one update together (_peft_fused.py).
"""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tunesmith.core.model import Model
from tunesmith.methods._low_rank import Decomposed, LowRank, since_start
from tunesmith.methods._low_rank_table import LowRankTable
from tunesmith.methods._peft_folder import PeftFolder
from tunesmith.methods._peft_fused import Parts, joined, parts_of, taken_apart
from tunesmith.methods.adalora import Singular
from tunesmith.methods.ia3 import Scaled
from tunesmith.models.families import decoder_family
from tunesmith.models.hub_names import bare_name, hub_name
from tunesmith.models.surgery import named_places

Wrapped = LowRank | Decomposed | LowRankTable | Singular | Scaled
Plain = nn.Linear | nn.Embedding
_PARTS = (
    "lora_A.weight",
    "lora_B.weight",
    "lora_magnitude_vector",
    "lora_A",
    "lora_B",
    "lora_E",
    "ia3_l",
    "lora_embedding_A",
    "lora_embedding_B",
)
_BASE = ".base_layer.weight"
_PLAIN: Mapping[str, tuple[object, ...]] = {
    "bias": ("none", None),
    "lora_bias": (False, None),
    "fan_in_fan_out": (False, True, None),  # how the layer lies in memory, which peft sees for itself
    "layer_replication": (None,),
    "init_lora_weights": (True, False, None, "gaussian", "orthogonal", "eva"),
}
"""The values of peft's settings that mean what we compute."""


def has_updates(model: Model) -> bool:
    """Whether a layer of the backbone has an update that peft has a name for."""
    return any(isinstance(module, Wrapped) for _, module in named_places(model))


def is_update(name: str) -> bool:
    """Whether a tensor of this name is part of an update."""
    return any(name.endswith(f".{part}") for part in _PARTS)


def written(model: Model, *, bare: bool) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of the layers with an update in peft's names, and what its settings say of them.

    `bare`: under the names of transformers' class without a head.
    """
    layers = _layers(model, bare=bare)
    wrapped = {name: module for name, (_, module) in layers.items() if isinstance(module, Wrapped)}
    updates = {name: _parts(module) for name, module in wrapped.items()}
    fused = {whole: parts for whole, parts in _fused(model, layers).items() if not updates.keys().isdisjoint(parts)}
    for whole, parts in fused.items():
        weights = [_base(layers[part][1]).weight.detach() for part in parts]
        updates[whole] = joined([updates.pop(part, None) for part in parts], weights)
    first = next(iter(wrapped.values()))
    updates = _same_rank(updates) if isinstance(first, Singular) else updates
    settings = {"target_modules": sorted(updates), "fan_in_fan_out": bool(fused), **_settings(first, updates)}
    tensors = {
        f"{layer}.{part}{'.weight' if part in _LINEAR and 'lora_E' not in own else ''}": tensor
        for layer, own in updates.items()
        for part, tensor in own.items()
    }
    return tensors, settings


def read(model: Model, found: PeftFolder, *, bare: bool) -> dict[str, Callable[[], None]]:
    """How each layer that the folder updates is wrapped, by the name of its tensors; nothing is changed before.

    Raises:
        ModelFileError: settings that we do not compute, or tensors that are not this model's.
    """
    kind = str(found.config.get("peft_type"))
    for key, meant in _PLAIN.items() if kind != "IA3" else ():
        found.require(key, meant, "a plain update")
    layers = _layers(model, bare=bare)
    fused = _fused(model, layers)
    updates: dict[str, Parts] = {}
    names: dict[str, list[str]] = {}
    for name, tensor in found.tensors.items():
        part = next((part for part in _PARTS if name.endswith(f".{part}")), None)
        layer = name.removesuffix(f".{part}")
        if part and (layer in layers or layer in fused):
            updates.setdefault(layer, {})[part.removesuffix(".weight")] = tensor
            names.setdefault(layer, []).append(name)
    done = _kept_tables(found, layers)
    for layer, update in updates.items():
        parts = fused.get(layer, [layer])
        bases = [_base(layers[part][1]) for part in parts]
        made = list(zip([layers[part][0] for part in parts], _made(kind, bases, update, layer, found), strict=True))

        def install(made: list[tuple[str, Wrapped]] = made) -> None:
            for place, wrapper in made:
                wrapper.base.requires_grad_(False)
                model.set_submodule(place, wrapper)

        done |= {name: install for name in names[layer]}
    return done


def _kept_tables(found: PeftFolder, layers: Mapping[str, tuple[str, Wrapped | Plain]]) -> dict[str, Callable[[], None]]:
    """Tables of words that peft saved beside their update, which are left as they are here."""
    kept: dict[str, Callable[[], None]] = {}
    for name, tensor in found.tensors.items():
        layer = name.removesuffix(_BASE)
        if name.endswith(_BASE) and layer in layers:
            if not torch.equal(tensor, _base(layers[layer][1]).weight):
                raise found.unfit(name, "another table than that of this backbone")
            kept[name] = _nothing
    return kept


def _nothing() -> None:
    """What is done about a tensor that is there already."""


def _layers(model: Model, *, bare: bool) -> dict[str, tuple[str, Wrapped | Plain]]:
    """Linear layers of the backbone by transformers' name, with ours."""
    named = bare_name if bare else hub_name
    return {
        named(model, name): (name, module)
        for name, module in named_places(model)
        if isinstance(module, Wrapped | Plain) and not name.endswith(".base")
    }


def _fused(model: Model, layers: Mapping[str, Any]) -> dict[str, list[str]]:
    """The names of the layers that are one in transformers, by the name of the whole."""
    family = decoder_family(model.backbone.config)
    return parts_of(family.fused, list(layers)) if family else {}


def _base(module: Wrapped | Plain) -> Plain:
    return module.base if isinstance(module, Wrapped) else module


def _parts(layer: Wrapped) -> Parts:
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


def _same_rank(updates: Mapping[str, Parts]) -> dict[str, Parts]:
    """Updates with directions of nothing, so that all have as many as one: peft's ADALORA begins with one rank."""
    rank = max(len(update["lora_A"]) for update in updates.values())

    def padded(update: Parts) -> Parts:
        more = rank - len(update["lora_A"])
        longer = {name: F.pad(update[name].detach(), (0, 0, 0, more)) for name in ("lora_A", "lora_E")}
        return longer | {"lora_B": F.pad(update["lora_B"].detach(), (0, more))}

    return {name: padded(update) for name, update in updates.items()}


def _settings(first: Wrapped, updates: Mapping[str, Parts]) -> dict[str, Any]:
    match first:
        case LowRank() | Decomposed() | LowRankTable():
            ranks = {name: _rank(update) for name, update in updates.items()}
            rank = max(ranks.values())
            others = {name: own for name, own in ranks.items() if own != rank}
            lora = {"peft_type": "LORA", "r": rank, "lora_alpha": first.scale * rank, "lora_dropout": 0.0}
            if others:
                lora |= {"rank_pattern": others, "alpha_pattern": {n: first.scale * own for n, own in others.items()}}
            return lora | {"use_dora": isinstance(first, Decomposed), "bias": "none", "init_lora_weights": True}
        case Singular():
            rank = len(next(iter(updates.values()))["lora_A"])
            scale = first.scale * rank
            own = {"peft_type": "ADALORA", "init_r": rank, "target_r": rank, "lora_alpha": scale}
            return own | {"total_step": 1, "lora_dropout": 0.0, "bias": "none"}
        case Scaled():
            inner = [name for name, update in updates.items() if len(update["ia3_l"]) == 1]
            return {"peft_type": "IA3", "feedforward_modules": sorted(inner)}


def _made(kind: str, bases: list[Plain], update: Parts, layer: str, found: PeftFolder) -> list[Wrapped]:
    """The wrapped layers that an update of one layer in peft makes of one of ours, or of its parts."""
    wanted = set(_TABLE if kind == "LORA" and isinstance(bases[0], nn.Embedding) else _WANTED[kind])
    if kind == "LORA" and found.config.get("use_dora"):
        wanted.add("lora_magnitude_vector")
    if update.keys() != wanted:
        raise found.unfit(layer, "half an update: one of its parts is missing")
    if any(not tensor.numel() or not tensor.ndim for tensor in update.values()):
        raise found.unfit(layer, "empty")
    heights = [len(base.weight) for base in bases]
    high, wide, rank = sum(heights), bases[0].weight.shape[1], _rank(update)
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
    parts = taken_apart(update, heights) if len(bases) > 1 else [update]
    return [_wrapped(base, part, scale=scale, before=before) for base, part in zip(bases, parts, strict=True)]


def _rank(update: Parts) -> int:
    return next((len(update[name]) for name in ("lora_A", "lora_embedding_A") if name in update), 0)


@torch.no_grad()
def _wrapped(base: Plain, update: Parts, *, scale: float, before: bool) -> Wrapped:
    """A layer with an update of its own."""
    if isinstance(base, nn.Embedding):
        table = LowRankTable(base, _rank(update), scale=scale)
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


_LINEAR = frozenset({"lora_A", "lora_B"})
"""What is a layer of its own in peft's LORA, whose weight it is, and a tensor in its ADALORA"""
_WANTED: Mapping[str, frozenset[str]] = {
    "LORA": _LINEAR,
    "ADALORA": _LINEAR | {"lora_E"},
    "IA3": frozenset({"ia3_l"}),
}
"""The parts of an update by `peft_type`"""
_TABLE = frozenset({"lora_embedding_A", "lora_embedding_B"})
