"""Prefixes and prompts as peft keeps them: one tensor, `prompt_embeddings`, however they were learnt.

    PREFIX_TUNING            [p, L * 2 * D]   keys and values of layer 1, of layer 2, ...
    PROMPT_TUNING, P_TUNING  [p, E]

peft's model for sequences reads a prompt's first row where ours reads the first of the text, so prompts for sequences
do not travel; those for tokens do.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tunesmith.core.model import Model
from tunesmith.methods._peft_folder import PeftFolder
from tunesmith.methods.prefix import ProjectedCore
from tunesmith.methods.soft_prompt import ProjectedRows
from tunesmith.models.additions import PrefixedCore, PromptRows, ShiftedPositions
from tunesmith.models.attention import AttentionCore
from tunesmith.models.decoder import Decoder
from tunesmith.models.encoder import Encoder
from tunesmith.models.prompt_slot import PromptSlot
from tunesmith.models.surgery import named_places

EMBEDDINGS = "prompt_embeddings"


def written(model: Model) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """The tensor and what peft's settings say of it; None where the model has neither prefix nor prompt."""
    backbone = model.backbone
    if not isinstance(backbone, Encoder | Decoder):
        return None
    cores = [module for _, module in named_places(model) if isinstance(module, PrefixedCore | ProjectedCore)]
    heads = backbone.shape.heads if isinstance(backbone, Encoder) else backbone.shape.shared_heads
    common = {"num_transformer_submodules": 1, "num_layers": backbone.shape.layers, "num_attention_heads": heads}
    if cores:
        own = torch.cat([part for core in cores for part in _prefix(core)], 1)
        width = own.shape[1] // (2 * len(cores))
        settings = {"peft_type": "PREFIX_TUNING", "token_dim": width, "prefix_projection": False}
    elif isinstance(backbone.prompt, PromptRows | ProjectedRows):
        own = backbone.prompt()
        settings = {"peft_type": "PROMPT_TUNING", "token_dim": own.shape[1], "prompt_tuning_init": "RANDOM"}
    else:
        return None
    return {EMBEDDINGS: own}, settings | common | {"num_virtual_tokens": len(own)}


def read(model: Model, found: PeftFolder) -> dict[str, Callable[[], None]]:
    """How the prefix or the prompt of a folder is put in, by the name of its tensor; nothing is changed before.

    Raises:
        ModelFileError: the tensor is missing or not this model's.
    """
    if EMBEDDINGS not in found.tensors:
        raise found.unfit(EMBEDDINGS, "missing")
    own, count = found.tensors[EMBEDDINGS], found.whole_number("num_virtual_tokens")
    prefixed = found.config.get("peft_type") == "PREFIX_TUNING"
    match model.backbone:
        case Encoder(shape=shape):
            layers, width, row = shape.layers, shape.width, shape.embedding_width
        case Decoder(shape=causal):
            layers, width, row = causal.layers, causal.shared_heads * causal.head_size, causal.width
        case _:
            raise found.unusable("a backbone that transformers runs has no place for prompts", "peft_type")
    found.check_shape(EMBEDDINGS, own, (count, 2 * layers * width if prefixed else row))

    def install() -> None:
        for name, module in list(named_places(model)):
            match module:
                case AttentionCore() if prefixed and not name.endswith(".base"):
                    keys, values = parts.pop(0), parts.pop(0)
                    model.set_submodule(name, PrefixedCore(module, keys.clone(), values.clone()))
                case PromptSlot() if not name.endswith(".base"):
                    shifted, rows = ShiftedPositions(module, count), PromptRows(module, own.clone())
                    model.set_submodule(name, shifted if prefixed else rows)
                case _:
                    continue

    parts = list(own.chunk(2 * layers, 1)) if prefixed else []
    return {EMBEDDINGS: install}


def _prefix(core: PrefixedCore | ProjectedCore) -> tuple[Tensor, Tensor]:
    return core.prefix() if isinstance(core, ProjectedCore) else (core.keys, core.values)
