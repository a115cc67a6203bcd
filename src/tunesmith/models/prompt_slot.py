"""Where rows may be put before every window: a place that is empty until a method fills it."""

from torch import Tensor, nn


class PromptSlot(nn.Module):
    """No rows."""

    begin = 0
    """The position of a window's first row in the table of positions"""

    def forward(self) -> Tensor | None:
        """Rows [P, E] that go before every window, or None."""
        return None
