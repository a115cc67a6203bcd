"""Adapter: small bottleneck layers behind the frozen ones learn, beside the head.

    y' = y + U gelu(V y + b) + c,   V [s, D] random, U [D, s] zero, so that y' = y at the start

y is what attention or the feed-forward part gives, before it is added to their input. An adapter is kept beside the
backbone and not folded into it: many tasks can share one backbone in memory.

When to use it: many tasks over one backbone, or a backbone that must not forget. It can do what no low-rank update
can (there is an activation in it), at a little more time for every answer.
Cost: 2 s D + s + D parameters for each place: two places a layer as Houlsby, one as Pfeiffer.
Relations: `lora` folds away and costs nothing when answering; `prefix` changes what attention sees.
References: Houlsby et al. 2019, Parameter-Efficient Transfer Learning for NLP; Pfeiffer et al. 2021, AdapterFusion,
section 3.2 (one place is nearly as good as two).
"""

from collections.abc import Iterable, Mapping
from typing import Literal

from pydantic import Field
from torch import nn

from tunesmith.core.method import Method
from tunesmith.methods._places import attention_outputs, feed_forward_outputs, unfit
from tunesmith.models.additions import Bottleneck

_OWN = (".down_weight", ".down_bias", ".up_weight", ".up_bias")


class Adapter(Method):
    """Bottleneck layers learn, and the head."""

    size: int = Field(default=64, ge=1)
    """s: how narrow a bottleneck is."""
    placement: Literal["pfeiffer", "houlsby"] = "pfeiffer"
    """Behind the feed-forward part of every layer, or behind attention as well."""

    @property
    def learning_rate(self) -> float:
        """3e-3 at width 384."""
        return 3e-3

    def wrappers(self, places: Mapping[str, nn.Module]) -> Mapping[str, nn.Module]:
        """A `Bottleneck` around each place.

        Raises:
            ConfigError: this backbone has no such places.
        """
        behind = feed_forward_outputs(places)
        attention = attention_outputs(places) if self.placement == "houlsby" else {}
        if not behind or (self.placement == "houlsby" and not attention):
            missing = "attention output" if behind else "feed-forward part"
            raise unfit(
                f"no {missing} is known in this backbone, so there is no place for an adapter",
                "method.placement" if behind else "method.kind",
                'choose method.placement = "pfeiffer".' if behind else 'choose method.kind = "lora".',
            )
        layers = (attention | behind).items()
        return {name: Bottleneck(layer, layer.out_features, self.size) for name, layer in layers}

    def trained(self, names: Iterable[str]) -> frozenset[str]:
        """Bottlenecks and the head."""
        return frozenset(name for name in names if name.startswith("head.") or name.endswith(_OWN))
