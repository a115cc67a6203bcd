"""Prompt tuning: rows that are no words stand before every window and learn, beside the head; the backbone is frozen.

    x = [e_1 .. e_p; words],   e [p, E] learnt, and the layers see it as they see words

    network = "none"   e is learnt as it is (prompt tuning)
    network = "mlp"    e = W_3 relu(W_2 relu(W_1 z)), z [p, E] learnt: the rows move together (P-tuning)

A network is thrown away at the end: what is kept is p rows. The model is another one from the first step on.

When to use it: a backbone that must stay untouched, many tasks in one batch, and large backbones: with small ones it
stays well behind `lora` and `adapter`, and it wants a high rate and more steps.
Cost: p E numbers. Each window is p rows longer, in time and in the positions that the backbone has.
Relations: `prefix` puts keys and values before every layer, not rows before the first.
References: Lester, Al-Rfou and Constant 2021, The Power of Scale for Parameter-Efficient Prompt Tuning (rows begin as
words of the vocabulary); Liu et al. 2021, GPT Understands, Too (P-tuning).
"""

from collections.abc import Iterable, Mapping
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from tunesmith.core.method import Mergeable, Method
from tunesmith.methods._places import own_places
from tunesmith.models.additions import PromptRows
from tunesmith.models.prompt_slot import PromptSlot

_OWN = (".rows", ".first.weight", ".first.bias", ".second.weight", ".second.bias", ".third.weight", ".third.bias")


class ProjectedRows(Mergeable):
    """Rows that a network of two hidden layers makes."""

    begin = 0

    def __init__(self, base: nn.Module, rows: Tensor, hidden: int) -> None:
        super().__init__()
        self.base = base
        self.rows = nn.Parameter(rows)
        width = rows.shape[1]
        self.first, self.second, self.third = (
            nn.Linear(width, hidden),
            nn.Linear(hidden, hidden),
            nn.Linear(hidden, width),
        )

    def forward(self) -> Tensor:
        """[p, E]."""
        made: Tensor = self.third(F.relu(self.second(F.relu(self.first(self.rows)))))
        return made

    def merged(self) -> nn.Module:
        """The rows as plain numbers."""
        return PromptRows(self.base, self().detach().clone())


class SoftPrompt(Method):
    """Rows before every window learn, and the head."""

    starts_as_identity: ClassVar[bool] = False

    length: int = Field(default=20, ge=1, le=256)
    """p: rows before every window, which holds so many tokens fewer."""
    network: Literal["none", "mlp"] = "none"
    """What makes the rows while they learn."""
    hidden: int = Field(default=256, ge=1)
    """How wide the network is."""

    @property
    def learning_rate(self) -> float:
        """1.5e-2 at width 384."""
        return 1.5e-2

    @property
    def rows(self) -> int:
        """p."""
        return self.length

    def wrappers(self, places: Mapping[str, nn.Module]) -> Mapping[str, nn.Module]:
        """Rows in the backbone's place for a prompt; they begin as words of its vocabulary, drawn at random.

        Raises:
            ConfigError: the backbone is one that transformers runs, which has no such place.
        """
        slots = own_places(places, PromptSlot, "prompt")
        words = next(module for module in places.values() if isinstance(module, nn.Embedding))
        drawn = words.weight.detach()[torch.randint(words.num_embeddings, (self.length,))].clone()
        if self.network == "none":
            return {name: PromptRows(slot, drawn) for name, slot in slots.items()}
        return {name: ProjectedRows(slot, drawn, self.hidden) for name, slot in slots.items()}

    def trained(self, names: Iterable[str]) -> frozenset[str]:
        """The rows, the network that makes them, and the head."""
        return frozenset(
            name for name in names if name.startswith("head.") or (".prompt." in name and name.endswith(_OWN))
        )
