"""What a model holds beside a frozen backbone, as one table of tensors: the head, additions, and biases of its own.

head.classifier.weight                      the head, by our names
backbone.layers.0.feed_forward.down/rows    an addition, as `additions_state` has it
backbone.layers.0.attention.query.bias      a vector of the backbone that the model has another value of
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from tunesmith.core.errors import ModelFileError, Place
from tunesmith.core.model import Model
from tunesmith.models.additions import add, additions_state

_HEAD = "head."


def learnt_state(model: Model, vectors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The table of a model whose updates stand beside their layers; `vectors` [n] by the names of parameters."""
    head = {f"{_HEAD}{name}": tensor for name, tensor in model.head.state_dict().items()}
    return head | additions_state(model) | dict(vectors)


def fill_learnt(model: Model, state: Mapping[str, Tensor]) -> None:
    """Put such a table into a model whose backbone is over tensors that others share; those are left as they are.

    Raises:
        ModelFileError: a tensor is of no place of this model, is missing, or has another shape.
    """
    head = {name.removeprefix(_HEAD): tensor for name, tensor in state.items() if name.startswith(_HEAD)}
    own = model.head.state_dict()
    for name in sorted(own.keys() | head.keys()):
        if name not in own or name not in head or own[name].shape != head[name].shape:
            raise _unfit(f"{_HEAD}{name}")
    model.head.load_state_dict(head)
    for name, tensor in state.items():
        if "/" not in name and not name.startswith(_HEAD):
            _replace(model, name, tensor)
    add(model, {name: tensor for name, tensor in state.items() if "/" in name})


def _replace(model: Model, name: str, tensor: Tensor) -> None:
    """Give the model a vector of its own."""
    place, _, kind = name.rpartition(".")
    try:
        module: nn.Module = model.get_submodule(place)
        old = module.get_parameter(kind)
    except AttributeError:
        raise _unfit(name) from None
    if not name.startswith("backbone.") or kind != "bias" or old.shape != tensor.shape:
        raise _unfit(name)
    module.register_parameter(kind, nn.Parameter(tensor.to(torch.float32), requires_grad=False))


def _unfit(name: str) -> ModelFileError:
    return ModelFileError(
        "the tensor is missing, unknown or of another shape",
        code="TS-MODEL-090",
        place=Place(file="additions.safetensors", key=name),
        fix="what was learnt and its backbone must come from the same bundle: write it again.",
    )
