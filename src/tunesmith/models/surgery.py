"""Operations on a whole model: putting a method's wrappers in, folding them back."""

from collections.abc import Iterator

from torch import nn

from tunesmith.core.method import Mergeable, Method
from tunesmith.core.model import Model


def named_places(model: Model) -> Iterator[tuple[str, nn.Module]]:
    """The modules under `model.backbone` that a method may wrap, with their names in the model, outermost first."""
    for name, module in model.named_modules():
        if name.startswith("backbone."):
            yield name, module


def apply_method(model: Model, method: Method) -> None:
    """Put the method's wrappers in place and let exactly those parameters learn for which `method.trains` holds.

    What stands inside a new wrapper is not offered again.
    """
    done: list[str] = []
    for name, module in list(named_places(model)):
        if any(name.startswith(f"{outer}.") for outer in done):
            continue
        wrapper = method.wrap(name, module)
        if wrapper is not None:
            model.set_submodule(name, wrapper)
            done.append(name)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(method.trains(name))


def merge(model: Model) -> None:
    """Replace every mergeable wrapper by the plain module that computes the same."""
    wrapped = [(name, module) for name, module in model.named_modules() if isinstance(module, Mergeable)]
    for name, module in wrapped:
        model.set_submodule(name, module.merged())
