"""Head only: the backbone is frozen, the head learns (a linear probe where the head is one layer).

    logits = head(h),   h = backbone(x) constant

When to use it: to see what the backbone knows already, with very few rows, or as a baseline that other methods must
beat. Not where the task needs features the backbone does not have.
Cost: the head's parameters alone; no gradient passes through the backbone, which runs without dropout and once for each
window: its hidden states are kept for the epochs that follow, in up to 1 GiB of memory.
Relations: `full` and `lora` change the backbone too.
Reference: Alain & Bengio 2016, Understanding intermediate layers using linear classifier probes.
"""

from collections.abc import Iterable

from tunesmith.core.method import Method


class HeadOnly(Method):
    """Only parameters of the head learn."""

    @property
    def learning_rate(self) -> float:
        """1e-3: a head starts from nothing and bears more than a backbone."""
        return 1e-3

    def trained(self, names: Iterable[str]) -> frozenset[str]:
        """Those whose name begins with `head.`."""
        return frozenset(name for name in names if name.startswith("head."))
