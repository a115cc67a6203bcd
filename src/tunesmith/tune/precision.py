"""Number format and device that a run trains with.

In bf16 products have 8 bits of mantissa, while an fp32 master of every weight that learns takes the updates, which
would otherwise be rounded away (Micikevicius et al. 2018, Mixed Precision Training, section 3.1). What a processor and
a GPU do, form.py tells.
"""

from typing import Literal

import torch

from tunesmith.core.errors import ConfigError, Place
from tunesmith.models.precision import Choice, Precision, faster


def choose(wanted: Literal["auto", "fp32", "bf16"], *, width: int, device: torch.device) -> Choice:
    """What "auto" means here for a model of `width`, or the wanted format itself.

    Raises:
        ConfigError: bf16 is wanted on a GPU that has no such format.
    """
    if wanted != "auto":
        require(wanted, device)
        return Choice(wanted, "set in the configuration")
    if not _has("bf16", device):
        return Choice("fp32", "this GPU has no bf16")
    return faster(width, device)


def require(precision: Precision, device: torch.device) -> None:
    """Refuse a format that the device would only imitate.

    Raises:
        ConfigError: bf16 on a GPU that has no such format.
    """
    if not _has(precision, device):
        raise ConfigError(
            "this GPU has no bf16",
            code="TS-TUNE-003",
            place=Place(key="train.precision"),
            fix='write precision = "auto" or "fp32".',
        )


def _has(precision: Precision, device: torch.device) -> bool:
    emulates = device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False)
    return precision == "fp32" or not emulates


def choose_device(wanted: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """The device to train on.

    Raises:
        ConfigError: a GPU is wanted and there is none; nothing falls back in silence.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "there is no usable GPU",
            code="TS-TUNE-004",
            place=Place(key="train.device"),
            fix='write device = "auto" or "cpu".',
        )
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")
