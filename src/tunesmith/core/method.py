"""The contract of a tuning method: which parameters learn, and what stands in their way.

Laws, met by every kind (tests/laws): wrapping leaves the function unchanged at the start; only parameters for which
`trains` is true move; saved and loaded weights give equal logits; merged equals wrapped.
"""

from abc import abstractmethod
from collections.abc import Mapping

from torch import nn

from tunesmith.core.component import Component

REFERENCE_WIDTH = 384


class Method(Component):
    """Which parameters learn. Names are those of `Model.named_parameters()`, heads begin with `head.`."""

    @property
    @abstractmethod
    def learning_rate(self) -> float:
        """A peak rate that works where the configuration gives none, for a backbone of width `REFERENCE_WIDTH`.

        A run divides it by how much wider its backbone is: the rate of Adam at which features move equally falls
        with the width (Yang et al. 2022, Tensor Programs V, table 3).
        """

    def check(self, places: Mapping[str, nn.Module]) -> None:
        """Refuse a backbone the method does not fit, before anything is changed. `places` are its modules by name.

        Raises:
            ConfigError: at the field that does not fit, naming what would.
        """
        return None

    def wrap(self, name: str, module: nn.Module) -> nn.Module | None:
        """What should stand in the place of `module`, or None to leave it as it is."""
        return None

    @abstractmethod
    def trains(self, parameter_name: str) -> bool:
        """Whether the parameter learns."""


class Mergeable(nn.Module):
    """A wrapper that can be folded back into the plain module it wraps."""

    @abstractmethod
    def merged(self) -> nn.Module:
        """A plain module that computes the same."""
