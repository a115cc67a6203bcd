"""The contract of a tuning method: which parameters learn, what stands in their way, and what accompanies a run.

Laws, met by every kind (tests/laws): wrapping leaves the function unchanged at the start, unless the method says that
it does not; only parameters that `trained` names move; saved and loaded weights give equal logits; merged equals
wrapped.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import ClassVar

from torch import Tensor, nn

from tunesmith.core.component import Component

REFERENCE_WIDTH = 384


class Method(Component):
    """Which parameters learn. Names are those of `Model.named_parameters()`, heads begin with `head.`."""

    starts_as_identity: ClassVar[bool] = True
    """Whether the model still computes the same right after wrapping."""

    @property
    @abstractmethod
    def learning_rate(self) -> float:
        """A peak rate that works where the configuration gives none, for a backbone of width `REFERENCE_WIDTH`.

        A run divides it by how much wider its backbone is: the rate of Adam at which features move equally falls
        with the width (Yang et al. 2022, Tensor Programs V, table 3).
        """

    @property
    def rows(self) -> int:
        """How many rows it puts before every window: so many tokens fewer fit into one."""
        return 0

    def wrappers(self, places: Mapping[str, nn.Module]) -> Mapping[str, nn.Module]:
        """What should stand in the place of which module. `places` are the backbone's modules by name, outermost first.

        No two of the named places lie inside each other. Nothing is changed yet.

        Raises:
            ConfigError: the method does not fit this backbone, at the field that does not, naming what would.
        """
        return {}

    @abstractmethod
    def trained(self, names: Iterable[str]) -> frozenset[str]:
        """Which of all the model's parameters learn, once the wrappers are in place.

        Raises:
            ConfigError: the method asks for parameters that are not there.
        """

    def guide(self, model: nn.Module) -> "Guide | None":
        """What accompanies the updates of a run of `model`, whose wrappers are in place; None where nothing has to."""
        return None


class Guide(ABC):
    """Steers a run between its updates. What it remembers is saved and restored with the run's own state."""

    def resting(self, epoch: int) -> frozenset[str]:
        """Parameters that do not learn yet in this epoch, from 0."""
        return frozenset()

    def pull(self, values: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Further gradients by parameter name, of a term that no reported loss contains. `values` are fp32."""
        return {}

    def after_update(self, values: Mapping[str, Tensor], gradients: Mapping[str, Tensor], *, done: float) -> bool:
        """Look at what an update left: fp32 values and gradients by parameter name, `done` of the run in [0, 1].

        True where it changed `values` in place.
        """
        return False

    def state(self) -> dict[str, Tensor]:
        """What it remembers, as fp32 tensors."""
        return {}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from what `state` gave."""
        return None

    @abstractmethod
    def describe(self) -> str:
        """What it does, in a few words: a run tells it before its first step."""


class Mergeable(nn.Module):
    """A wrapper that can be folded back into the plain module it wraps."""

    @abstractmethod
    def merged(self) -> nn.Module:
        """A plain module that computes the same."""


class UpdatedTable(Mergeable):
    """A frozen table of embeddings, each row of which has an update out of a row of a smaller table."""

    rows: nn.Module
    """[V, r]; all of it that learns, but for what every row shares"""


class LowRankUpdate(Mergeable):
    """A linear layer whose `weight` [out, in] is a frozen one plus B A, and of which nothing else learns."""

    @property
    @abstractmethod
    def factors(self) -> tuple[Tensor, Tensor]:
        """A [r, in] and B [out, r]; what else scales the update is in one of them."""
