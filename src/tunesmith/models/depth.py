"""Which layer a parameter belongs to, read off its name: our own backbones and those of transformers."""

import re

_LAYER = re.compile(r"\.(?:layers?|h|blocks?)\.(\d+)\.")


def layer_of(name: str) -> int | None:
    """The number of the layer, from 0 at the bottom; None for embeddings, heads and what follows the last layer."""
    match = _LAYER.search(name)
    return int(match[1]) if match else None
