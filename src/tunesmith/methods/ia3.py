"""(IA)^3: keys, values and inner activations are scaled by learnt factors, beside the head.

    k' = l_k * k,   v' = l_v * v,   y = W_down (l_ff * act(W_up x)),   all factors 1 at the start

Factors fold into the weights: those of keys and values into rows of their matrices, the inner ones into columns of
W_down. Training and answering cost what the plain model costs.

When to use it: few rows and many tasks over one backbone, as `bitfit`; less can be learnt than with `lora`.
Cost: 2 D + I numbers a layer, for width D and inner width I.
Relations: `bitfit` shifts, (IA)^3 scales; `lora` changes directions too.
Reference: Liu et al. 2022, Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than In-Context Learning,
section 3.3.
"""

from collections.abc import Iterable, Mapping

from pydantic import Field
from torch import Tensor, nn

from tunesmith.core.method import Method
from tunesmith.methods._folded import Folded
from tunesmith.methods._places import feed_forward_outputs, linear_layers, targeted, unfit


class Scaled(Folded):
    """A linear layer whose inputs or outputs are multiplied by learnt factors."""

    def __init__(self, base: nn.Linear, *, inputs: bool) -> None:
        """`inputs`: the factors stand before the layer, else behind it."""
        super().__init__(base)
        self.inputs = inputs
        self.factors = nn.Parameter(base.weight.new_ones(base.in_features if inputs else base.out_features))

    @property
    def weight(self) -> Tensor:
        """[out, in]"""
        return self.base.weight * (self.factors if self.inputs else self.factors[:, None])

    @property
    def bias(self) -> Tensor | None:
        """[out]"""
        if self.inputs or self.base.bias is None:
            return self.base.bias
        return self.base.bias * self.factors

    def update(self) -> dict[str, Tensor]:
        """`before`, or `factor` with the bias that it scales too."""
        if self.inputs:
            return {"before": self.factors}
        own = {} if self.bias is None else {"own_bias": self.bias}
        return {"factor": self.factors} | own


class IA3(Method):
    """Factors on keys, values and inner activations learn, and the head."""

    targets: list[str] = Field(default=["key", "value"], min_length=1)
    """Whose outputs are scaled: the last part, or the last parts, of the names of linear layers in the backbone;
    `query`, `key` and `value` by whatever name they have in it."""
    inner: bool = True
    """Whether the inner activations of the feed-forward parts are scaled as well."""

    @property
    def learning_rate(self) -> float:
        """2e-2 at width 384: a factor near 1 has far to go."""
        return 2e-2

    def wrappers(self, places: Mapping[str, nn.Module]) -> Mapping[str, nn.Module]:
        """A `Scaled` layer around each target and each end of a feed-forward part.

        Raises:
            ConfigError: at `method.targets` or `method.inner`.
        """
        outer = targeted(linear_layers(places), self.targets, key="method.targets")
        inner = feed_forward_outputs(places) if self.inner else {}
        if self.inner and not inner:
            raise unfit("no feed-forward part is known in this backbone", "method.inner", "set it to false.")
        scaled = {name: Scaled(layer, inputs=False) for name, layer in outer.items()}
        return scaled | {name: Scaled(layer, inputs=True) for name, layer in inner.items() if name not in outer}

    def trained(self, names: Iterable[str]) -> frozenset[str]:
        """The factors and the head."""
        return frozenset(name for name in names if name.startswith("head.") or name.endswith(".factors"))
