"""The form a model has while it learns, and the way back: device, bf16 with fp32 masters, only the words that occur.

A head stays in fp32 whatever the backbone computes in: it is small, and losses and scores keep their digits.
"""

from typing import Any

import torch
from torch import Tensor, nn

from tunesmith.core.model import Model
from tunesmith.tune.precision import Precision


class TrainingForm:
    """A model made ready to learn. `parameters` compute, `masters` (fp32) hold what is learnt."""

    def __init__(self, model: Model, *, precision: Precision, device: torch.device) -> None:
        self.model = model
        self._home = next(model.parameters()).device
        model.to(device)
        self.parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.masters: dict[str, Tensor] = {name: p.detach() for name, p in self.parameters.items()}
        self._frozen: dict[str, Tensor] = {}
        self._hook: Any = None
        if precision == "bf16":
            self._to_bf16()

    def _to_bf16(self) -> None:
        for name, parameter in self.model.backbone.named_parameters(prefix="backbone"):
            if name not in self.masters:
                self._frozen[name] = parameter.detach()
            parameter.data = parameter.detach().bfloat16()
        self._hook = self.model.head.register_forward_pre_hook(_in_fp32)

    def frozen(self) -> dict[str, Tensor]:
        """The weights that do not learn, by name, in full precision."""
        names = {name: p.detach() for name, p in self.model.named_parameters() if name not in self.masters}
        return names | self._frozen

    def undo(self) -> None:
        """Give the model back in fp32 on its own device, masters as its weights; twice is once."""
        if self._hook is not None:
            self._hook.remove()
            self._hook = None
        for name, parameter in self.model.named_parameters():
            value = self.masters.get(name, self._frozen.get(name))
            if value is not None:
                parameter.grad = None
                parameter.data = value
        self._frozen.clear()
        self.model.to(self._home)


def _in_fp32(_: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (arguments[0].float(), *arguments[1:])
