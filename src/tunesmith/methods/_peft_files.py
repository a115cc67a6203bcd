"""LoRA adapters as files of peft: `adapter_model.safetensors` with `adapter_config.json`, written and read.

    base_model.model.<transformers' name of the layer>.lora_A.weight    [r, in]
    base_model.model.<transformers' name of the layer>.lora_B.weight    [out, r]
    base_model.model.<transformers' name of the head's tensor>          the head in full (`modules_to_save`)

`PeftModel.from_pretrained(AutoModelFor..., folder)` gives the logits that our model gives. What a peft adapter can say
and a folded low-rank update cannot (DoRA, biases, starts that change the frozen weight) is refused by name.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from tunesmith.core.atomic import replacing
from tunesmith.core.errors import MissingInputError, ModelFileError, Place, StorageError
from tunesmith.core.finite import is_finite
from tunesmith.core.model import Model
from tunesmith.core.strict_json import JsonFault, parse
from tunesmith.methods._low_rank import LowRank
from tunesmith.methods.lora import Lora
from tunesmith.models.hub_names import Problem, hub_name
from tunesmith.models.surgery import named_places
from tunesmith.models.weights import read_tensors

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
_ROOT = "base_model.model."
_PLAIN: Mapping[str, tuple[object, ...]] = {
    "peft_type": ("LORA",),
    "bias": ("none", None),
    "use_dora": (False, None),
    "lora_bias": (False, None),
    "fan_in_fan_out": (False, None),
    "alpha_pattern": ({}, None),
    "layer_replication": (None,),
    "init_lora_weights": (True, False, None, "gaussian", "orthogonal", "eva"),
}
"""The values of peft's settings that mean what `LowRank` computes."""


def write_adapter(model: Model, method: Lora, folder: Path, *, base: str, problem: Problem) -> None:
    """Write the low-rank updates and the head of `model` into `folder`, each file whole or not at all.

    Args:
        model: A model that `method` was applied to, not merged.
        method: Its rank and alpha are written down.
        folder: Made where it is missing; the two files in it are replaced.
        base: What peft calls the base model: the folder or Hub name it will be opened from.
        problem: Decides whether transformers opens it for tokens or for sequences.

    Raises:
        ModelFileError: the model has no low-rank layer.
        StorageError: the disk failed or is full.
    """
    layers = {hub_name(model, name): layer for name, layer in _low_rank_layers(model).items()}
    if not layers:
        raise ModelFileError(
            "the model has no low-rank layer", code="TS-METHOD-010", fix="apply Lora first, and write before merging."
        )
    head = {hub_name(model, f"head.{name}"): tensor for name, tensor in model.head.state_dict().items()}
    tensors = {f"{name}.lora_A.weight": layer.lora_A for name, layer in layers.items()}
    tensors |= {f"{name}.lora_B.weight": layer.lora_B for name, layer in layers.items()}
    tensors |= head
    plain = {f"{_ROOT}{name}": tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    config = {
        "peft_type": "LORA",
        "task_type": "TOKEN_CLS" if problem == "token" else "SEQ_CLS",
        "base_model_name_or_path": base,
        "r": method.rank,
        "lora_alpha": method.alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
        "init_lora_weights": True,
        "inference_mode": True,
        "target_modules": sorted(layers),
        "modules_to_save": sorted({_saved_module(name) for name in head}),
    }
    _write(folder / WEIGHTS, save(plain, metadata={"format": "pt"}))
    _write(folder / CONFIG, json.dumps(config, indent=2, ensure_ascii=False).encode())


def read_adapter(model: Model, folder: Path) -> None:
    """Put the updates and the head of an adapter into `model`, wrapping the layers it names that are plain still.

    A head tensor that the adapter leaves out (peft does not save a frozen pooler) keeps its value.

    Raises:
        MissingInputError: a file of the adapter is not there.
        ModelFileError: it is damaged, not a LoRA adapter that can be folded, or made for another backbone or head.
    """
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise MissingInputError(
                "the adapter lacks this file",
                code="TS-METHOD-011",
                place=Place(file=str(folder / name)),
                fix="give the folder that save_pretrained of peft, or Tunesmith, wrote.",
            )
    config = _checked_config(folder / CONFIG)
    tensors = {name.removeprefix(_ROOT): tensor for name, tensor in read_tensors([folder / WEIGHTS]).items()}
    for name, tensor in tensors.items():
        if not is_finite(tensor):
            raise _unfit(folder / WEIGHTS, name, "not finite")
    factors, head = _sorted_out(model, tensors, folder / WEIGHTS)
    own_head = {hub_name(model, f"head.{name}"): tensor for name, tensor in model.head.state_dict().items()}
    for name, tensor in head.items():
        _check_shape(name, tensor, own_head[name].shape, folder / WEIGHTS)
    if missing := [name for name in own_head if name not in head and "pooler" not in name]:
        raise _unfit(folder / WEIGHTS, missing[0], "missing: an adapter without its head answers at random")
    with torch.no_grad():
        for place, (a, b) in factors.items():
            _install(model, place, a, b, config)
        for name, tensor in head.items():
            own_head[name].copy_(tensor)


def _low_rank_layers(model: Model) -> dict[str, LowRank]:
    return {name: module for name, module in named_places(model) if isinstance(module, LowRank)}


def _saved_module(name: str) -> str:
    """How peft names the module of a head's tensor: `pooler` of `bert.pooler.dense.weight`, else the first part."""
    return "pooler" if ".pooler." in name else name.partition(".")[0]


def _checked_config(file: Path) -> dict[str, Any]:
    try:
        config = parse(file.read_bytes())
    except JsonFault as fault:
        raise _unusable(fault.message, file) from None
    if not isinstance(config, dict):
        raise _unusable("not an object", file)
    for key, meant in _PLAIN.items():
        if config.get(key, meant[0]) not in meant:
            raise ModelFileError(
                f"{key} = {config[key]!r} is not a plain low-rank update",
                code="TS-METHOD-013",
                place=Place(file=str(file), key=key),
                fix="merge the adapter with peft (merge_and_unload) and give the merged model as backbone.",
            )
    for key in ("r", "lora_alpha"):
        value = config.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise _unusable("not a number above 0", file, key)
    return config


def _unusable(message: str, file: Path, key: str | None = None) -> ModelFileError:
    return ModelFileError(
        message,
        code="TS-METHOD-012",
        place=Place(file=str(file), key=key),
        fix="save the adapter again with peft's save_pretrained, or copy the whole folder again.",
    )


def _sorted_out(
    model: Model, tensors: Mapping[str, Tensor], file: Path
) -> tuple[dict[str, tuple[Tensor, Tensor]], dict[str, Tensor]]:
    """(A, B) by our name of the layer they update, and the head's tensors by transformers' name."""
    places = {
        hub_name(model, name): (name, module)
        for name, module in named_places(model)
        if isinstance(module, LowRank | nn.Linear) and not name.endswith(".base")
    }
    heads = {hub_name(model, f"head.{name}") for name in model.head.state_dict()}
    found: dict[str, dict[str, Tensor]] = {}
    head: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        module, _, side = name.removesuffix(".weight").rpartition(".")
        if side in ("lora_A", "lora_B") and module in places:
            found.setdefault(module, {})[side] = tensor
        elif name in heads:
            head[name] = tensor
        else:
            raise _unfit(file, name, "not of a layer that this model has")
    factors: dict[str, tuple[Tensor, Tensor]] = {}
    for module, sides in found.items():
        place, layer = places[module]
        if sides.keys() != {"lora_A", "lora_B"}:
            raise _unfit(file, module, "half an update: one of lora_A and lora_B is missing")
        out, width = layer.weight.shape
        _check_shape(f"{module}.lora_A", sides["lora_A"], (len(sides["lora_A"]), width), file)
        _check_shape(f"{module}.lora_B", sides["lora_B"], (out, len(sides["lora_A"])), file)
        factors[place] = (sides["lora_A"], sides["lora_B"])
    return factors, head


def _install(model: Model, place: str, a: Tensor, b: Tensor, config: Mapping[str, Any]) -> None:
    rank = len(a)
    scale = config["lora_alpha"] / (math.sqrt(rank) if config.get("use_rslora") else rank)
    present = model.get_submodule(place)
    base = present.base if isinstance(present, LowRank) else present
    assert isinstance(base, nn.Linear)
    layer = LowRank(base, rank, scale=scale)
    layer.lora_A.copy_(a)
    layer.lora_B.copy_(b)
    base.requires_grad_(False)
    model.set_submodule(place, layer)


def _check_shape(name: str, tensor: Tensor, wanted: tuple[int, ...], file: Path) -> None:
    if tuple(tensor.shape) != tuple(wanted):
        raise _unfit(file, name, f"{tuple(tensor.shape)} instead of {tuple(wanted)}")


def _unfit(file: Path, name: str, what: str) -> ModelFileError:
    return ModelFileError(
        f"the tensor is {what}",
        code="TS-METHOD-014",
        place=Place(file=str(file), key=name),
        fix="use the adapter with the backbone and the labels it was trained for.",
    )


def _write(file: Path, content: bytes) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file, "wb") as stream:
            stream.write(content)
    except OSError as error:
        raise StorageError(
            f"cannot write: {error.strerror}", code="TS-METHOD-015", place=Place(file=str(file)), fix="free some space."
        ) from None
