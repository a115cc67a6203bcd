"""Layer freezing: the top layers and the head learn; embeddings and lower layers stay as they are.

    layers L - top + 1 .. L learn, below them nothing

With `gradual` an epoch after the other wakes one more layer, from the top down: the head learns alone first, so that
what it does not know yet does not tear at the layers below it.

When to use it: rows that resemble what the backbone was trained on, little memory, or short of time: no gradient passes
below the lowest layer that learns. `full` is more accurate with many rows.
Cost: the parameters of `top` layers, their gradients and moments.
Relations: `head_only` is `top = 0`, `full` all layers and the embeddings; `train.layer_decay` slows lower layers down
instead of stopping them.
References: Howard and Ruder 2018, Universal Language Model Fine-tuning, section 3.3 (gradual unfreezing); Lee, Tang and
Lin 2019, What Would Elsa Do? (how many layers are needed).
"""

from collections.abc import Iterable

from pydantic import Field
from torch import nn

from tunesmith.core.method import Guide, Method
from tunesmith.methods._places import unfit
from tunesmith.models.depth import layer_of


class LayerFreeze(Method):
    """The top layers and the head learn."""

    top: int = Field(default=2, ge=1)
    """How many layers learn, counted from the head."""
    gradual: bool = False
    """Wake them one by one, the uppermost in the second epoch; the first epoch is the head's."""

    @property
    def learning_rate(self) -> float:
        """9e-4 at width 384."""
        return 9e-4

    def trained(self, names: Iterable[str]) -> frozenset[str]:
        """Parameters of the top layers, and the head.

        Raises:
            ConfigError: at `method.top`: the backbone has fewer layers, or none that is known.
        """
        depth = {name: layer_of(name) for name in names}
        layers = 1 + max((layer for layer in depth.values() if layer is not None), default=-1)
        if self.top > layers:
            raise unfit(
                f"{self.top} layers are to learn and this backbone has {layers}" if layers else "no layers are known",
                "method.top",
                f'take at most {layers}, or method.kind = "full".' if layers else 'choose method.kind = "lora".',
            )
        lowest = layers - self.top
        return frozenset(
            name for name, layer in depth.items() if name.startswith("head.") or (layer is not None and layer >= lowest)
        )

    def guide(self, model: nn.Module) -> Guide | None:
        """Wakes the layers one by one where that is wished."""
        if not self.gradual:
            return None
        return _Awakening({name: p for name, p in model.named_parameters() if p.requires_grad})


class _Awakening(Guide):
    """Lets layers rest: all that learn in epoch 0, one fewer in each epoch that follows."""

    def __init__(self, learning: Iterable[str]) -> None:
        self._depth = {name: layer for name in learning if (layer := layer_of(name)) is not None}
        self._layers = 1 + max(self._depth.values())

    def resting(self, epoch: int) -> frozenset[str]:
        return frozenset(name for name, layer in self._depth.items() if layer < self._layers - epoch)

    def describe(self) -> str:
        return "layers wake one by one, an epoch each, from the top down"
