"""What a method learnt as files of peft: `adapter_model.safetensors` with `adapter_config.json`, written and read.

    base_model.model.<transformers' name of a layer>.<its update>     _peft_layers.py
    prompt_embeddings                                                 _peft_prompts.py
    <transformers' name of the head's tensor>                         the head in full (`modules_to_save`)

`PeftModel.from_pretrained(AutoModelFor..., folder)` gives the logits that our model gives. What a peft adapter can say
and we do not compute is refused by name.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tunesmith.core.errors import ModelFileError, Place
from tunesmith.core.model import Backbone, Model
from tunesmith.methods import _peft_layers, _peft_prompts
from tunesmith.methods._peft_folder import CONFIG as CONFIG
from tunesmith.methods._peft_folder import WEIGHTS as WEIGHTS
from tunesmith.methods._peft_folder import read, write
from tunesmith.models.hub_config import Problem, has_class
from tunesmith.models.hub_names import hub_name
from tunesmith.models.surgery import merge

_LAYERS = ("LORA", "ADALORA", "IA3")
_PROMPTS = ("PREFIX_TUNING", "PROMPT_TUNING", "P_TUNING")
_TASK_TYPES: Mapping[Problem, str] = {"token": "TOKEN_CLS", "answer": "QUESTION_ANS", "language": "CAUSAL_LM"}
"""Every other problem is one of whole texts"""


def write_adapter(model: Model, folder: Path, *, base: str, problem: Problem, fingerprint: str | None = None) -> None:
    """Write what a method added to `model`, and its head, into `folder`, each file whole or not at all.

    Args:
        model: A model that a method was applied to, not merged.
        folder: Made where it is missing; the two files in it are replaced.
        base: What peft calls the base model: the folder or Hub name it will be opened from.
        fingerprint: Of the backbone's files, so that nobody puts the adapter on another one.
        problem: Decides whether transformers opens it for tokens, for answers or for sequences.

    Raises:
        ModelFileError: there is nothing in the model that peft has a name for.
        StorageError: the disk failed or is full.
    """
    layers, prompts = _peft_layers.wrapped_layers(model), _peft_prompts.written(model)
    if layers:
        own, settings = _peft_layers.written(layers)
        root = "base_model.model."
        own = {f"{root}{name}": tensor for name, tensor in own.items()}
    elif prompts and _answers_alike(prompts[1], problem):
        (own, settings), root = prompts, "base_model."
    else:
        raise ModelFileError(
            "the model has nothing that peft has a name for",
            code="TS-METHOD-010",
            fix="apply a method that peft has first, and write before merging.",
        )
    head = {hub_name(model, f"head.{name}"): tensor for name, tensor in model.head.state_dict().items()}
    config = settings | {
        "task_type": _TASK_TYPES.get(problem, "SEQ_CLS"),
        "base_model_name_or_path": base,
        "inference_mode": True,
        "modules_to_save": sorted({_saved_module(name) for name in head}),
    }
    tensors = own | {f"{root}{name}": tensor for name, tensor in head.items()}
    write(folder, tensors, config, backbone=fingerprint)


def in_peft_files(model: Model, problem: Problem) -> bool:
    """Whether `write_adapter` has something to write that transformers would find its layers by."""
    if not has_class(model, problem):
        return False
    prompts = _peft_prompts.written(model)
    if problem == "matching":  # peft would leave out the label vectors
        return False
    return bool(_peft_layers.wrapped_layers(model)) or (prompts is not None and _answers_alike(prompts[1], problem))


def _answers_alike(settings: Mapping[str, Any], problem: Problem) -> bool:
    """Whether peft's model with a prompt answers as ours does."""
    return settings["peft_type"] == "PREFIX_TUNING" or problem in _TASK_TYPES


def read_adapter(model: Model, folder: Path) -> None:
    """Put the updates and the head of an adapter into `model`, wrapping the layers it names that are plain still.

    A head tensor that the adapter leaves out (peft does not save a frozen pooler) keeps its value.

    Raises:
        MissingInputError: a file of the adapter is not there.
        ModelFileError: it is damaged, of a kind that we do not compute, or made for another backbone or head.
    """
    found = read(folder)
    found.require("peft_type", (*_LAYERS, *_PROMPTS), "a kind that is computed here")
    kind = found.config.get("peft_type")
    installed = (_peft_prompts if kind in _PROMPTS else _peft_layers).read(model, found)
    own_head = {hub_name(model, f"head.{name}"): tensor for name, tensor in model.head.state_dict().items()}
    head = {name: tensor for name, tensor in found.tensors.items() if name in own_head}
    for name in found.tensors:
        if name not in installed and name not in head:
            raise found.unfit(name, "not of a layer that this model has")
    for name, tensor in head.items():
        found.check_shape(name, tensor, own_head[name].shape)
    if missing := [name for name in own_head if name not in head and "pooler" not in name]:
        raise found.unfit(missing[0], "missing: an adapter without its head answers at random")
    for install in dict.fromkeys(installed.values()):
        install()
    _fill(own_head, head)


def fold_adapter(backbone: Backbone, folder: Path, *, fingerprint: str) -> None:
    """Fold the updates of an adapter into the weights of the backbone it was trained on; its head is left aside.

    Args:
        backbone: Changed in place.
        folder: Of an adapter that Tunesmith or peft wrote.
        fingerprint: Of the backbone, compared with that in the adapter where it holds one.

    Raises:
        MissingInputError: a file of the adapter is not there.
        ModelFileError: it is damaged, no update of weights, or was trained on another backbone.
    """
    found = read(folder)
    found.require("peft_type", _LAYERS, "an update of weights, which alone can be folded in")
    if found.backbone not in (None, fingerprint):
        raise ModelFileError(
            f"the adapter was trained on another backbone ({str(found.backbone)[:12]}, not {fingerprint[:12]})",
            code="TS-METHOD-016",
            place=Place(file=str(folder / WEIGHTS)),
            fix="give the backbone, and the adapters below this one, with which it was trained.",
        )
    model = Model(backbone, nn.Identity())
    installed = _peft_layers.read(model, found)
    lost = [name for name in found.tensors if name not in installed and _peft_layers.is_update(name)]
    if lost or not installed:
        raise found.unfit(lost[0] if lost else "", "not of a layer that this backbone has")
    for install in dict.fromkeys(installed.values()):
        install()
    merge(model)
    backbone.requires_grad_(True)


@torch.no_grad()
def _fill(own: dict[str, Tensor], given: dict[str, Tensor]) -> None:
    for name, tensor in given.items():
        own[name].copy_(tensor)


def _saved_module(name: str) -> str:
    """How peft names the module of a head's tensor: `pooler` of `bert.pooler.dense.weight`, else the first part."""
    return "pooler" if ".pooler." in name else name.partition(".")[0]
