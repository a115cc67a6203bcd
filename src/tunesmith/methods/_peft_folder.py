"""The two files of a peft adapter: settings and tensors, written whole or not at all, read with suspicion."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from tunesmith.core.atomic import replacing
from tunesmith.core.errors import MissingInputError, ModelFileError, Place, StorageError
from tunesmith.core.finite import is_finite
from tunesmith.core.strict_json import JsonFault, parse
from tunesmith.models.weights import read_tensors

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
BACKBONE = "backbone"
"""The key of the fingerprint in the metadata of the weights"""


@dataclass(frozen=True, slots=True)
class PeftFolder:
    """What lies in a folder. Names of tensors are those of the model that peft wraps."""

    config: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    folder: Path
    backbone: str | None = None
    """Fingerprint of the backbone it was trained on; None where whoever wrote it did not say"""

    def whole_number(self, key: str) -> int:
        """A setting above 0.

        Raises:
            ModelFileError: it is none.
        """
        value = self.config.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
            raise self.unusable("not a whole number above 0", key)
        return value

    def number(self, key: str) -> float:
        """A setting above 0.

        Raises:
            ModelFileError: it is none.
        """
        value = self.config.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise self.unusable("not a number above 0", key)
        return float(value)

    def require(self, key: str, meant: Sequence[object], what: str) -> None:
        """Refuse a setting whose value is none of those that we compute; the first stands for an absent one."""
        if self.config.get(key, meant[0]) not in meant:
            raise ModelFileError(
                f"{key} = {self.config[key]!r} is not {what}",
                code="TS-METHOD-013",
                place=Place(file=str(self.folder / CONFIG), key=key),
                fix="merge the adapter with peft (merge_and_unload) and give the merged model as backbone.",
            )

    def check_shape(self, name: str, tensor: Tensor, wanted: tuple[int, ...]) -> None:
        """Refuse a tensor of another shape."""
        if tuple(tensor.shape) != tuple(wanted):
            raise self.unfit(name, f"{tuple(tensor.shape)} instead of {tuple(wanted)}")

    def unusable(self, message: str, key: str | None = None) -> ModelFileError:
        """The error of settings that cannot be read."""
        return ModelFileError(
            message,
            code="TS-METHOD-012",
            place=Place(file=str(self.folder / CONFIG), key=key),
            fix="save the adapter again with peft's save_pretrained, or copy the whole folder again.",
        )

    def unfit(self, name: str, what: str) -> ModelFileError:
        """The error of a tensor that is not this model's."""
        return ModelFileError(
            f"the tensor is {what}",
            code="TS-METHOD-014",
            place=Place(file=str(self.folder / WEIGHTS), key=name),
            fix="use the adapter with the backbone and the labels it was trained for.",
        )


def write(
    folder: Path, tensors: Mapping[str, Tensor], config: Mapping[str, Any], *, backbone: str | None = None
) -> None:
    """Write both files, each whole or not at all. `tensors` carry the names of the files.

    `backbone` is the fingerprint of what it was trained on; it stands where peft does not look.

    Raises:
        StorageError: the disk failed or is full.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    about = {"format": "pt"} | ({BACKBONE: backbone} if backbone else {})
    _write(folder / WEIGHTS, save(plain, metadata=about))
    _write(folder / CONFIG, json.dumps(config, indent=2, ensure_ascii=False).encode())


def read(folder: Path) -> PeftFolder:
    """Both files.

    Raises:
        MissingInputError: one of them is not there.
        ModelFileError: damaged, or a tensor that is not finite.
    """
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise MissingInputError(
                "the adapter lacks this file",
                code="TS-METHOD-011",
                place=Place(file=str(folder / name)),
                fix="give the folder that save_pretrained of peft, or Tunesmith, wrote.",
            )
    empty = PeftFolder({}, {}, folder)
    try:
        config = parse((folder / CONFIG).read_bytes())
    except JsonFault as fault:
        raise empty.unusable(fault.message) from None
    if not isinstance(config, dict):
        raise empty.unusable("not an object")
    tensors = {}
    for name, tensor in read_tensors([folder / WEIGHTS]).items():
        own = name.removeprefix("base_model.").removeprefix("model.")
        if not is_finite(tensor):
            raise empty.unfit(own, "not finite")
        tensors[own] = tensor
    with safe_open(folder / WEIGHTS, "pt") as file:
        about = file.metadata() or {}
    return PeftFolder(config, tensors, folder, about.get(BACKBONE))


def _write(file: Path, content: bytes) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file, "wb") as stream:
            stream.write(content)
    except OSError as error:
        raise StorageError(
            f"cannot write: {error.strerror}", code="TS-METHOD-015", place=Place(file=str(file)), fix="free some space."
        ) from None
