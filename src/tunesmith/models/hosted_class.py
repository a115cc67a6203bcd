"""A causal model's class in transformers, the one with a language head: its name, its form, and how it reads a file.

Tensors in a file may have other names than in the class, or lie apart where the class has one; transformers knows how
to bring them together, release by release. So its own reader does it, from tensors that were read from safetensors
before, and says what was missing and what was not used. Nothing is fetched and no code of a checkpoint runs.
"""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


def writing_class(kind: str) -> str | None:
    """The class with a language head of a kind whose rows see only what stands before them; None for other kinds."""
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    )

    return None if kind in MODEL_FOR_MASKED_LM_MAPPING_NAMES else MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(kind)


def skeleton(settings: Any) -> Any:  # noqa: ANN401  # of transformers, which has no common type
    """The class of a transformers configuration, without weights: everything in it is on the device "meta"."""
    from transformers import AutoModelForCausalLM

    with torch.device("meta"), _quiet():
        return AutoModelForCausalLM.from_config(copy.deepcopy(settings), trust_remote_code=False, dtype=torch.float32)


def tied_name(model: Any) -> str | None:  # noqa: ANN401  # of transformers, which has no common type
    """The name of the head's matrix where it is the table of words; None where it is one of its own."""
    words = model.get_input_embeddings().weight
    names = (name for name, own in model.named_parameters(remove_duplicate=False) if own is words)
    return next((name for name in names if not name.startswith(f"{model.base_model_prefix}.")), None)


@dataclass(frozen=True, slots=True)
class ClassTensors:
    """A file's tensors as the class has them."""

    backbone: dict[str, Tensor]
    """Of what lies below the head"""
    head: dict[str, Tensor]
    """Of the head, without a matrix that is the table of words"""
    unused: dict[str, Tensor]
    """What the class has no place for, under the names of the file"""
    misshapen: dict[str, tuple[int, ...]]
    """Shapes of tensors that are not as the configuration says"""


def as_the_class_has_them(settings: Any, tensors: Mapping[str, Tensor]) -> ClassTensors:  # noqa: ANN401
    """The tensors of a file, renamed and put together for the class of a transformers configuration.

    Raises:
        ValueError: the class has no decoder of its own kind inside.
        KeyError, RuntimeError, TypeError, ValueError: tensors that do not go together.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

    own = copy.deepcopy(settings)
    with _quiet():
        model, told = MODEL_FOR_CAUSAL_LM_MAPPING[type(own)].from_pretrained(
            None,
            config=own,
            state_dict=dict(tensors),
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            dtype=torch.float32,
        )
    if model.base_model is model:
        raise ValueError(f"{type(model).__name__} has nothing called {model.base_model_prefix}")
    misshapen = {name: tuple(shape) for name, shape, _ in told["mismatched_keys"]}
    absent = {*told["missing_keys"], *misshapen, tied_name(model)}
    below = f"{model.base_model_prefix}."
    state = {name: tensor for name, tensor in model.state_dict().items() if name not in absent}
    return ClassTensors(
        backbone={name.removeprefix(below): tensor for name, tensor in state.items() if name.startswith(below)},
        head={name: tensor for name, tensor in state.items() if not name.startswith(below)},
        unused={name: tensors[name] for name in told["unexpected_keys"] if name in tensors},
        misshapen=misshapen,
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """transformers tells on the terminal what it reads, and its bars cannot be told from ours."""
    from transformers.utils import logging

    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()
