"""Reading safetensors files: sizes capped, floats as fp32."""

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from tunesmith.core.errors import ModelFileError, Place

MAX_HEADER = 8 * 2**20
MAX_TENSORS = 20_000


def read_tensors(files: Sequence[Path]) -> dict[str, Tensor]:
    """All tensors of a checkpoint, floating ones in fp32, in memory of their own.

    Raises:
        ModelFileError: a file is damaged, absurdly large in its header, or names a tensor twice.
    """
    tensors: dict[str, Tensor] = {}
    for file in files:
        _check_header(file)
        try:
            found = load_file(file)
        except (SafetensorError, OSError, ValueError) as error:
            raise _unusable(f"damaged weights: {error}", file) from None
        if twice := tensors.keys() & found.keys():
            raise _unusable(f"the tensor {min(twice)} stands in two files", file)
        tensors |= {name: _owned(tensor) for name, tensor in found.items()}
    if len(tensors) > MAX_TENSORS:
        raise _unusable(f"more than {MAX_TENSORS} tensors", files[0])
    return tensors


def _owned(tensor: Tensor) -> Tensor:
    """A copy off the memory map, so that the file may be replaced while we run."""
    return tensor.to(torch.float32, copy=True) if tensor.is_floating_point() else tensor.clone()


def _check_header(file: Path) -> None:
    with file.open("rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
    if size > MAX_HEADER:
        raise _unusable(f"damaged weights: the header claims {size} bytes", file)


def _unusable(message: str, file: Path) -> ModelFileError:
    return ModelFileError(
        message,
        code="TS-MODEL-022",
        place=Place(file=str(file)),
        fix="copy or download the file again, or save the model anew with save_pretrained.",
    )
