"""Full fine-tuning: every parameter of the backbone and the head learns.

    theta <- theta - rate * update(gradient of the loss at theta)

When to use it: the default, and the most accurate with more than a few hundred labelled rows. With few rows or many
tasks over one backbone prefer `lora`; where only a quick linear probe is wanted, `head_only`.
Cost: all parameters, their gradients and two moments of AdamW in memory: four times the model.
Relations: `head_only` freezes the backbone, `lora` learns a low-rank update of it.
Reference: Devlin et al. 2019, BERT, appendix A.3 (rates from 2e-5 to 5e-5 for large backbones; small ones take more).
"""

from collections.abc import Iterable

from tunesmith.core.method import Method


class Full(Method):
    """Everything learns."""

    @property
    def learning_rate(self) -> float:
        """2e-4 at width 384, which makes 1e-4 at the width of BERT base."""
        return 2e-4

    def trained(self, names: Iterable[str]) -> frozenset[str]:
        """Every parameter."""
        return frozenset(names)
