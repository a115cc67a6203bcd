"""Layers with an update as peft names them: LORA with DoRA and rank stabilisation, ADALORA, IA3.

    <layer>.lora_A.weight [r, in]   <layer>.lora_B.weight [out, r]   <layer>.lora_magnitude_vector [out]
    <layer>.lora_A [r, in]          <layer>.lora_B [out, r]          <layer>.lora_E [r, 1]
    <layer>.ia3_l [out, 1], or [1, in] where the factors stand before the layer

An update that began with the weight's own directions is written as what it adds to the weight, at twice the rank.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tunesmith.core.model import Model
from tunesmith.methods._low_rank import Decomposed, LowRank, since_start
from tunesmith.methods._peft_folder import PeftFolder
from tunesmith.methods.adalora import Singular
from tunesmith.methods.ia3 import Scaled
from tunesmith.models.families import decoder_family
from tunesmith.models.hub_names import hub_name
from tunesmith.models.surgery import named_places

Wrapped = LowRank | Decomposed | Singular | Scaled
_PARTS = (
    "lora_A.weight",
    "lora_B.weight",
    "lora_magnitude_vector",
    "lora_A",
    "lora_B",
    "lora_E",
    "ia3_l",
)
_PLAIN: Mapping[str, tuple[object, ...]] = {
    "bias": ("none", None),
    "lora_bias": (False, None),
    "fan_in_fan_out": (False, None),
    "alpha_pattern": ({}, None),
    "layer_replication": (None,),
    "init_lora_weights": (True, False, None, "gaussian", "orthogonal", "eva"),
}
"""The values of peft's settings that mean what we compute."""


def wrapped_layers(model: Model) -> dict[str, Wrapped]:
    """Layers with an update, by transformers' name; none where its files hold several of our layers as one (GPT-2)."""
    family = decoder_family(model.backbone.config)
    if family and family.packed is not dict:
        return {}
    places = ((name, module) for name, module in named_places(model) if isinstance(module, Wrapped))
    return {hub_name(model, name): module for name, module in places}


def is_update(name: str) -> bool:
    """Whether a tensor of this name is part of an update."""
    return any(name.endswith(f".{part}") for part in _PARTS)


def written(layers: Mapping[str, Wrapped]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of the layers in peft's names, and what its settings say of them."""
    first = next(iter(layers.values()))
    tensors = {f"{name}.{part}": tensor for name, layer in layers.items() for part, tensor in _parts(layer).items()}
    return tensors, {"target_modules": sorted(layers), **_settings(first, layers)}


def read(model: Model, found: PeftFolder) -> dict[str, Callable[[], None]]:
    """How each layer that the folder updates is wrapped, by the name of its tensors; nothing is changed before.

    Raises:
        ModelFileError: settings that we do not compute, or tensors that are not this model's.
    """
    kind = found.config.get("peft_type")
    for key, meant in _PLAIN.items() if kind != "IA3" else ():
        found.require(key, meant, "a plain update")
    places = {
        hub_name(model, name): (name, module)
        for name, module in named_places(model)
        if isinstance(module, Wrapped | nn.Linear) and not name.endswith(".base")
    }
    parts: dict[str, dict[str, Tensor]] = {}
    names: dict[str, list[str]] = {}
    for name, tensor in found.tensors.items():
        part = next((part for part in _PARTS if name.endswith(f".{part}")), None)
        layer = name.removesuffix(f".{part}")
        if part and layer in places:
            parts.setdefault(layer, {})[part.removesuffix(".weight")] = tensor
            names.setdefault(layer, []).append(name)
    make = _MAKERS[str(kind)]
    done: dict[str, Callable[[], None]] = {}
    for layer, own in parts.items():
        place, module = places[layer]
        base = module.base if isinstance(module, Wrapped) else module
        assert isinstance(base, nn.Linear)
        wrapper = make(base, own, layer, found)

        def install(place: str = place, wrapper: Wrapped = wrapper) -> None:
            wrapper.base.requires_grad_(False)
            model.set_submodule(place, wrapper)

        done |= {name: install for name in names[layer]}
    return done


def _parts(layer: Wrapped) -> Mapping[str, Tensor]:
    match layer:
        case LowRank() | Decomposed():
            down, up = since_start(layer)
            own = {"lora_A.weight": down, "lora_B.weight": up}
            return own | ({"lora_magnitude_vector": layer.magnitude} if isinstance(layer, Decomposed) else {})
        case Singular():
            return {"lora_A": layer.lora_A, "lora_B": layer.lora_B, "lora_E": layer.lora_E}
        case Scaled():
            return {"ia3_l": layer.factors[None] if layer.inputs else layer.factors[:, None]}


def _settings(first: Wrapped, layers: Mapping[str, Wrapped]) -> dict[str, Any]:
    match first:
        case LowRank() | Decomposed():
            rank = len(_parts(first)["lora_A.weight"])
            lora = {"peft_type": "LORA", "r": rank, "lora_alpha": first.scale * rank, "lora_dropout": 0.0}
            lora |= {"use_dora": isinstance(first, Decomposed), "bias": "none", "fan_in_fan_out": False}
            return lora | {"init_lora_weights": True}
        case Singular():
            rank = len(first.lora_E)
            own = {"peft_type": "ADALORA", "init_r": rank, "target_r": rank, "lora_alpha": first.scale * rank}
            return own | {"total_step": 1, "lora_dropout": 0.0, "bias": "none", "fan_in_fan_out": False}
        case Scaled():
            inner = [name for name, layer in layers.items() if isinstance(layer, Scaled) and layer.inputs]
            return {"peft_type": "IA3", "feedforward_modules": sorted(inner), "fan_in_fan_out": False}


def _low_rank(base: nn.Linear, own: Mapping[str, Tensor], layer: str, found: PeftFolder) -> LowRank | Decomposed:
    dora = bool(found.config.get("use_dora"))
    if own.keys() != {"lora_A", "lora_B"} | ({"lora_magnitude_vector"} if dora else set()):
        raise found.unfit(layer, "half an update: one of its parts is missing")
    found.whole_number("r")
    a, b = own["lora_A"], own["lora_B"]
    rank = len(a)
    found.check_shape(f"{layer}.lora_A", a, (rank, base.in_features))
    found.check_shape(f"{layer}.lora_B", b, (base.out_features, rank))
    scale = found.number("lora_alpha") / (math.sqrt(rank) if found.config.get("use_rslora") else rank)
    made = (Decomposed if dora else LowRank)(base, rank, scale=scale)
    with torch.no_grad():
        made.lora_A.copy_(a)
        made.lora_B.copy_(b)
        if isinstance(made, Decomposed):
            found.check_shape(f"{layer}.lora_magnitude_vector", own["lora_magnitude_vector"], (base.out_features,))
            made.magnitude.copy_(own["lora_magnitude_vector"])
    return made


def _singular(base: nn.Linear, own: Mapping[str, Tensor], layer: str, found: PeftFolder) -> Singular:
    if own.keys() != {"lora_A", "lora_B", "lora_E"}:
        raise found.unfit(layer, "half an update: one of its parts is missing")
    a, b, e = own["lora_A"], own["lora_B"], own["lora_E"]
    rank = len(a)
    found.check_shape(f"{layer}.lora_A", a, (rank, base.in_features))
    found.check_shape(f"{layer}.lora_B", b, (base.out_features, rank))
    found.check_shape(f"{layer}.lora_E", e, (rank, 1))
    made = Singular(base, rank, scale=found.number("lora_alpha") / found.whole_number("init_r"))
    with torch.no_grad():
        for parameter, value in ((made.lora_A, a), (made.lora_B, b), (made.lora_E, e)):
            parameter.copy_(value)
    return made


def _scaled(base: nn.Linear, own: Mapping[str, Tensor], layer: str, found: PeftFolder) -> Scaled:
    factors = own["ia3_l"]
    inner = found.config.get("feedforward_modules") or []
    inputs = factors.ndim == 2 and len(factors) == 1 and (base.out_features > 1 or layer in inner)
    found.check_shape(f"{layer}.ia3_l", factors, (1, base.in_features) if inputs else (base.out_features, 1))
    made = Scaled(base, inputs=inputs)
    with torch.no_grad():
        made.factors.copy_(factors.reshape(-1))
    return made


_MAKERS: Mapping[str, Callable[[nn.Linear, Mapping[str, Tensor], str, PeftFolder], Wrapped]] = {
    "LORA": _low_rank,
    "ADALORA": _singular,
    "IA3": _scaled,
}
"""By `peft_type`"""
