"""The activations that encoder checkpoints name in their configuration."""

from collections.abc import Callable
from functools import partial

import torch.nn.functional as F
from torch import Tensor

from tunesmith.models.shape import Activation

_tanh_gelu = partial(F.gelu, approximate="tanh")

ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_new": _tanh_gelu,
    "gelu_pytorch_tanh": _tanh_gelu,
    "relu": F.relu,
    "silu": F.silu,
}
"""Name in config.json to function, any shape."""
