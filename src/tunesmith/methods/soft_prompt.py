"""Prompt tuning: rows that are no words stand before every window and learn, beside the head; the backbone is frozen.

    x = [e_1 .. e_p; words],   e [p, E] learnt, and the layers see it as they see words

    network = "none"   e is learnt as it is (prompt tuning)
    network = "mlp"    e = W_3 relu(W_2 relu(W_1 z)), z [p, E] learnt: the rows move together (P-tuning)
    network = "lstm"   e = W_3 relu(W_2 h), h [p, 2 H] what an LSTM of two layers makes of z, read both ways: rows
                       know their neighbours (P-tuning as it was published)

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
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import relu

from tunesmith.core.method import Mergeable, Method
from tunesmith.methods._places import own_places
from tunesmith.models.additions import PromptRows
from tunesmith.models.prompt_slot import PromptSlot


class Perceptron(nn.Module):
    """Two hidden layers of width H: each row [E] to a row [E], whatever stands beside it."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(width, hidden), nn.Linear(hidden, hidden)
        self.third = nn.Linear(hidden, width)

    def forward(self, rows: Tensor) -> Tensor:
        """[p, E] to [p, E]."""
        made: Tensor = self.third(relu(self.second(relu(self.first(rows)))))
        return made


class Recurrent(nn.Module):
    """An LSTM of two layers, H numbers in each direction, and a hidden layer behind it."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(width, hidden, num_layers=2, bidirectional=True)
        self.second, self.third = nn.Linear(2 * hidden, 2 * hidden), nn.Linear(2 * hidden, width)

    def forward(self, rows: Tensor) -> Tensor:
        """[p, E] to [p, E], the rows as one sequence."""
        states, _ = self.lstm(rows)
        made: Tensor = self.third(relu(self.second(states)))
        return made


NETWORKS: Mapping[str, type[Perceptron | Recurrent]] = {"mlp": Perceptron, "lstm": Recurrent}


class ProjectedRows(Mergeable):
    """Rows that a network makes."""

    begin = 0

    def __init__(self, base: nn.Module, rows: Tensor, network: nn.Module) -> None:
        super().__init__()
        self.base = base
        self.rows = nn.Parameter(rows)
        self.network = network

    def forward(self) -> Tensor:
        """[p, E]."""
        made: Tensor = self.network(self.rows)
        return made

    def merged(self) -> nn.Module:
        """The rows as plain numbers."""
        return PromptRows(self.base, self().detach().clone())


class SoftPrompt(Method):
    """Rows before every window learn, and the head."""

    starts_as_identity: ClassVar[bool] = False

    length: int = Field(default=20, ge=1, le=256)
    """p: rows before every window, which holds so many tokens fewer."""
    network: Literal["none", "mlp", "lstm"] = "none"
    """What makes the rows while they learn."""
    hidden: int = Field(default=256, ge=1)
    """H: how wide the network is."""

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
        network = NETWORKS[self.network](drawn.shape[1], self.hidden)
        return {name: ProjectedRows(slot, drawn, network) for name, slot in slots.items()}

    def trained(self, names: Iterable[str]) -> frozenset[str]:
        """The rows, the network that makes them, and the head."""
        return frozenset(
            name
            for name in names
            if name.startswith("head.") or name.endswith(".prompt.rows") or ".prompt.network." in name
        )
