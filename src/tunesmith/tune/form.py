"""The form a model has while it learns, and the way back: device, number format, only the words that occur.

In bf16 a processor computes with copies that are rounded from fp32 masters once an update. A GPU computes under torch's
autocast: its weights stay fp32 and are rounded as they are used, and norms and residual sums keep fp32 too.

A head stays in fp32 whatever the backbone computes in: it is small, and losses and scores keep their digits.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tunesmith.core.model import Backbone, Model
from tunesmith.models.precision import Precision
from tunesmith.models.surgery import VocabularyMap, compact_vocabulary
from tunesmith.models.vocabulary import CompactEmbedding


class TrainingForm:
    """A model made ready to learn. `parameters` compute, `masters` (fp32) hold what is learnt."""

    def __init__(self, model: Model, *, precision: Precision, device: torch.device, vocabulary: Sequence[int]) -> None:
        """`vocabulary` are the token ids that occur in training: only their embedding rows stand in the model."""
        self.model = model
        self.undone = False
        self._home = next(model.parameters()).device
        self._words = _compacted(model, vocabulary)
        self._decay = 1.0
        model.to(device)
        self.parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.masters: dict[str, Tensor] = {name: p.detach() for name, p in self.parameters.items()}
        self._frozen: dict[str, Tensor] = {}
        self._hook: Any = None
        self._autocast = precision == "bf16" and device.type == "cuda"
        if precision == "bf16":
            self._hook = model.head.register_forward_pre_hook(_in_fp32)
            if self._autocast:
                put_under_autocast(model.backbone, device.type)
            else:
                self._to_bf16()

    @property
    def words(self) -> str:
        """Name of the embedding table's parameter; empty where the table stands as it is."""
        return f"{self._words.name}.weight" if self._words else ""

    @property
    def vocabulary(self) -> tuple[int, int] | None:
        """Embedding rows that stand in the model, of how many; None where the table stands as it is."""
        return (len(self._words.used), self._words.total) if self._words else None

    def fade(self, decay: float) -> None:
        """Tell the model what weight decay has left of embedding rows that do not occur, where the table learns."""
        if self._words and self.words in self.masters:
            words = self.model.get_submodule(self._words.name)
            if isinstance(words, CompactEmbedding):
                self._decay = words.decay = decay

    def frozen(self) -> dict[str, Tensor]:
        """The weights that do not learn, by name, in full precision."""
        names = {name: p.detach() for name, p in self.model.named_parameters() if name not in self.masters}
        return names | self._frozen

    def undo(self) -> None:
        """Give the model back in fp32 on its own device, the masters as its weights; twice is once."""
        if self.undone:
            return
        self.undone = True
        if self._hook is not None:
            self._hook.remove()
        if self._autocast:
            take_from_autocast(self.model.backbone)
        for name, parameter in self.model.named_parameters():
            value = self.masters.get(name, self._frozen.get(name))
            if value is not None:
                parameter.grad = None
                parameter.data = value
        if self._words:
            self._words.restore(self.model, self._decay)
        self.model.backbone.gradient_checkpointing = False
        self._frozen.clear()
        self.model.to(self._home)

    def _to_bf16(self) -> None:
        for name, parameter in self.model.backbone.named_parameters(prefix="backbone"):
            if name not in self.masters:
                self._frozen[name] = parameter.detach()
            parameter.data = parameter.detach().bfloat16()


def put_under_autocast(backbone: Backbone, device: str) -> None:
    """Let matrix products inside the backbone run in bf16 on this kind of device, and nothing outside it."""
    vars(backbone)["forward"] = torch.autocast(device, torch.bfloat16)(backbone.forward)  # hides the method


def take_from_autocast(backbone: Backbone) -> None:
    """Undo `put_under_autocast`."""
    del vars(backbone)["forward"]


def _compacted(model: Model, vocabulary: Sequence[int]) -> VocabularyMap | None:
    """The model's own table narrowed; None for a backbone whose words are no plain table."""
    try:
        return compact_vocabulary(model, vocabulary)
    except TypeError:
        return None


def _in_fp32(_: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (arguments[0].float(), *arguments[1:])
