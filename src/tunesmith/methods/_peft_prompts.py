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
from tunesmith.models.encoder import Encoder, Layer
from tunesmith.models.prompt_slot import PromptSlot
from tunesmith.models.surgery import named_places

EMBEDDINGS = "prompt_embeddings"


def written(model: Model) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """The tensor and what peft's settings say of it; None where the model has neither prefix nor prompt."""
    encoder = model.backbone
    if not isinstance(encoder, Encoder):
        return None
    cores = [layer.attention.core for layer in encoder.layers if isinstance(layer, Layer)]
    prefixes = [_prefix(core) for core in cores if isinstance(core, PrefixedCore | ProjectedCore)]
    shape = encoder.shape
    common = {"num_transformer_submodules": 1, "num_layers": shape.layers, "num_attention_heads": shape.heads}
    if prefixes:
        own = torch.cat([part for pair in prefixes for part in pair], 1)
        settings = {"peft_type": "PREFIX_TUNING", "token_dim": shape.width, "prefix_projection": False}
    elif isinstance(encoder.prompt, PromptRows | ProjectedRows):
        own = encoder.prompt()
        settings = {"peft_type": "PROMPT_TUNING", "token_dim": shape.embedding_width, "prompt_tuning_init": "RANDOM"}
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
    if not isinstance(model.backbone, Encoder):
        raise found.unusable("a backbone that transformers runs has no place for prompts", "peft_type")
    own, shape = found.tensors[EMBEDDINGS], model.backbone.shape
    count = found.whole_number("num_virtual_tokens")
    prefixed = found.config.get("peft_type") == "PREFIX_TUNING"
    width = 2 * shape.layers * shape.width if prefixed else shape.embedding_width
    found.check_shape(EMBEDDINGS, own, (count, width))

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

    parts = list(own.chunk(2 * shape.layers, 1)) if prefixed else []
    return {EMBEDDINGS: install}


def _prefix(core: PrefixedCore | ProjectedCore) -> tuple[Tensor, Tensor]:
    return core.prefix() if isinstance(core, ProjectedCore) else (core.keys, core.values)
