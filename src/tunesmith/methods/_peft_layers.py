"""Layers with an update in the files of peft: LORA with DoRA and rank stabilisation, ADALORA, IA3.

    <layer>.lora_A.weight   <layer>.lora_B.weight   <layer>.lora_magnitude_vector
    <layer>.lora_A          <layer>.lora_B          <layer>.lora_E                   of ADALORA
    <table>.lora_embedding_A                        <table>.lora_embedding_B
    <layer>.ia3_l

What the tensors are, _peft_updates.py says. Layers that transformers holds as one have one update together
(_peft_fused.py).
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tunesmith.core.model import Model
from tunesmith.methods._low_rank import Decomposed, LowRank
from tunesmith.methods._low_rank_table import LowRankTable
from tunesmith.methods._peft_folder import PeftFolder
from tunesmith.methods._peft_fused import Parts, joined, parts_of
from tunesmith.methods._peft_updates import LINEAR, Plain, Wrapped, base_of, layers_with, rank_of, tensors_of
from tunesmith.methods.adalora import Singular
from tunesmith.methods.ia3 import Scaled
from tunesmith.models.families import decoder_family
from tunesmith.models.hub_names import bare_name, hub_name
from tunesmith.models.surgery import named_places

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
    updates = {name: tensors_of(module) for name, module in wrapped.items()}
    fused = {whole: parts for whole, parts in _fused(model, layers).items() if not updates.keys().isdisjoint(parts)}
    for whole, parts in fused.items():
        weights = [base_of(layers[part][1]).weight.detach() for part in parts]
        updates[whole] = joined([updates.pop(part, None) for part in parts], weights)
    first = next(iter(wrapped.values()))
    updates = _same_rank(updates) if isinstance(first, Singular) else updates
    settings = {"target_modules": sorted(updates), "fan_in_fan_out": bool(fused), **_settings(first, updates)}
    tensors = {
        f"{layer}.{part}{'.weight' if part in LINEAR and 'lora_E' not in own else ''}": tensor
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
        bases = [base_of(layers[part][1]) for part in parts]
        made = list(
            zip([layers[part][0] for part in parts], layers_with(kind, bases, update, layer, found), strict=True)
        )

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
            if not torch.equal(tensor, base_of(layers[layer][1]).weight):
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
            ranks = {name: rank_of(update) for name, update in updates.items()}
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
