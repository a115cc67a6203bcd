"""Layers whose weights are still undefined: a backbone is filled as a whole, and drawing twice costs a second."""

import torch
from torch import nn


class UnfilledLinear(nn.Linear):
    """A linear layer."""

    def reset_parameters(self) -> None:
        """Nothing."""


def unfilled_table(rows: int, width: int) -> nn.Embedding:
    """An embedding [rows, width]."""
    return nn.Embedding(rows, width, _weight=torch.empty(rows, width))
