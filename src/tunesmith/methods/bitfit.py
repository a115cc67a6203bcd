"""BitFit: the biases of the backbone learn, beside the head; every matrix stays as it is.

    y = W x + b,   b learns, W constant        (linear layers and norms alike)

When to use it: very few rows, or very many tasks over one backbone: a task is a thousandth of the model. It changes
where features lie and not what they are, so with many rows `lora` and `full` reach further.
Cost: one number for each output of a layer. Every layer still passes its gradient down, so a step takes about two
thirds of one of `full`.
Relations: `ia3` scales what BitFit shifts; `head_only` leaves the biases too.
Reference: Ben Zaken, Goldberg and Ravfogel 2022, BitFit: Simple Parameter-efficient Fine-tuning for Transformer-based
Masked Language-models.
"""

from collections.abc import Iterable

from tunesmith.core.method import Method


class BitFit(Method):
    """Biases and the head learn."""

    @property
    def learning_rate(self) -> float:
        """6e-3 at width 384: thirty times the rate of full tuning."""
        return 6e-3

    def trained(self, names: Iterable[str]) -> frozenset[str]:
        """Those whose name ends with `.bias`, and those of the head."""
        return frozenset(name for name in names if name.startswith("head.") or name.endswith(".bias"))
