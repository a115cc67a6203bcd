"""What a method learnt as files of peft: `adapter_model.safetensors` with `adapter_config.json`, written and read.

    base_model.model.<transformers' name of a layer>.<its update>     _peft_layers.py
    prompt_embeddings                                                 _peft_prompts.py
    <transformers' name of the head's tensor>                         the head in full (`modules_to_save`)

`PeftModel.from_pretrained(AutoModelFor..., folder)` gives the logits that our model gives. Where no class of
transformers with a head computes the same, the adapter is one of the backbone (FEATURE_EXTRACTION): of an `AutoModel`
it makes the hidden states that ours has, and the head stays in the bundle. What a peft adapter can say and we do not
compute is refused by name.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tunesmith.core.errors import ModelFileError, Place
from tunesmith.core.model import Backbone, Model
from tunesmith.methods import _peft_layers, _peft_prompts
from tunesmith.methods._peft_folder import CONFIG as CONFIG
from tunesmith.methods._peft_folder import WEIGHTS as WEIGHTS
from tunesmith.methods._peft_folder import PeftFolder, read, write
from tunesmith.models.hub_config import Problem, has_class
from tunesmith.models.hub_names import hub_name
from tunesmith.models.surgery import merge

_LAYERS = ("LORA", "ADALORA", "IA3")
_PROMPTS = ("PREFIX_TUNING", "PROMPT_TUNING", "P_TUNING")
_TASK_TYPES: Mapping[Problem, str] = {"token": "TOKEN_CLS", "answer": "QUESTION_ANS", "language": "CAUSAL_LM"}
"""Every other problem that has a class is one of whole texts"""
_BARE, _SEQUENCE = "FEATURE_EXTRACTION", "SEQ_CLS"


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
    kind = _task_type(model, problem)
    prompts = _peft_prompts.written(model)
    if _peft_layers.has_updates(model):
        own, settings = _peft_layers.written(model, bare=kind == _BARE)
        root = "base_model.model."
        own = {f"{root}{name}": tensor for name, tensor in own.items()}
    elif prompts and _answers_alike(prompts[1], kind):
        (own, settings), root = prompts, "base_model."
    else:
        raise ModelFileError(
            "the model has nothing that peft has a name for",
            code="TS-METHOD-010",
            fix="apply a method that peft has first, and write before merging.",
        )
    parts = {} if kind == _BARE else model.head.state_dict()
    head = {hub_name(model, f"head.{name}"): tensor for name, tensor in parts.items()}
    config = settings | {
        "task_type": kind,
        "base_model_name_or_path": base,
        "inference_mode": True,
        "modules_to_save": sorted({_saved_module(name) for name in head}) or None,
    }
    tensors = own | {f"{root}{name}": tensor for name, tensor in head.items()}
    write(folder, tensors, config, backbone=fingerprint)


def in_peft_files(model: Model, problem: Problem) -> bool:
    """Whether `write_adapter` has something to write."""
    prompts = _peft_prompts.written(model)
    alike = prompts is not None and _answers_alike(prompts[1], _task_type(model, problem))
    return _peft_layers.has_updates(model) or alike


def _task_type(model: Model, problem: Problem) -> str:
    """What peft calls the problem; that of a bare backbone where it has no class that reads the head as we do."""
    blanks = problem == "language" and not model.backbone.causal
    if blanks or problem == "vectors" or not has_class(model, problem):
        return _BARE
    return _TASK_TYPES.get(problem, _SEQUENCE)


def _answers_alike(settings: Mapping[str, Any], task_type: str) -> bool:
    """Whether peft's model with a prompt answers as ours does."""
    return settings["peft_type"] == "PREFIX_TUNING" or task_type in _TASK_TYPES.values()


def read_adapter(model: Model, folder: Path) -> None:
    """Put the updates and the head of an adapter into `model`, wrapping the layers it names that are plain still.

    A head tensor that the adapter leaves out (peft does not save a frozen pooler) keeps its value, and all of them do
    where it is one of a bare backbone.

    Raises:
        MissingInputError: a file of the adapter is not there.
        ModelFileError: it is damaged, of a kind that we do not compute, or made for another backbone or head.
    """
    found = read(folder)
    found.require("peft_type", (*_LAYERS, *_PROMPTS), "a kind that is computed here")
    bare = found.config.get("task_type") == _BARE
    installed = _installed(model, found, bare=bare)
    own_head = {hub_name(model, f"head.{name}"): tensor for name, tensor in model.head.state_dict().items()}
    head = {name: tensor for name, tensor in found.tensors.items() if name in own_head}
    for name in found.tensors:
        if name not in installed and name not in head:
            raise found.unfit(name, "not of a layer that this model has")
    for name, tensor in head.items():
        found.check_shape(name, tensor, own_head[name].shape)
    if missing := [name for name in own_head if name not in head and "pooler" not in name and not bare]:
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
    installed = _installed(model, found, bare=found.config.get("task_type") == _BARE)
    lost = [name for name in found.tensors if name not in installed and _peft_layers.is_update(name)]
    if lost or not installed:
        raise found.unfit(lost[0] if lost else "", "not of a layer that this backbone has")
    for install in dict.fromkeys(installed.values()):
        install()
    merge(model)
    backbone.requires_grad_(True)


def _installed(model: Model, found: PeftFolder, *, bare: bool) -> dict[str, Callable[[], None]]:
    """How what the folder holds for the backbone is put in, by the name of its tensors."""
    if found.config.get("peft_type") in _PROMPTS:
        return _peft_prompts.read(model, found)
    return _peft_layers.read(model, found, bare=bare)


@torch.no_grad()
def _fill(own: dict[str, Tensor], given: dict[str, Tensor]) -> None:
    for name, tensor in given.items():
        own[name].copy_(tensor)


def _saved_module(name: str) -> str:
    """How peft names the module of a head's tensor: `pooler` of `bert.pooler.dense.weight`, else the first part."""
    return "pooler" if ".pooler." in name else name.partition(".")[0]
