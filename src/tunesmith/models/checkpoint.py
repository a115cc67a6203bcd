"""Where a backbone lies: an installed starter, a folder, or a name on the Hugging Face Hub. Imports no torch.

Only `config.json`, safetensors weights and `tokenizer.json` are ever read, or made from a GGUF file. Pickled weights
are refused: opening them can run code.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.core.errors import MissingInputError, ModelFileError, Place
from tunesmith.models import gguf_file
from tunesmith.models.config_file import read_config, read_json
from tunesmith.models.hub import download
from tunesmith.models.starters import STARTERS, starter

_PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json", "model.pt", "tf_model.h5", "flax_model.msgpack")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A pretrained model on this disk."""

    name: str
    """as the user wrote it"""
    folder: Path
    config: Mapping[str, Any]
    """config.json without keys that could run code"""
    tokenizer_file: Path
    weight_files: tuple[Path, ...]
    fingerprint: str
    """sha256 over configuration, weights and tokenizer"""
    licence: str | None


def locate(name: str) -> Checkpoint:
    """Find a starter, a folder, a GGUF file (or a folder with one), or a Hub name (which alone may use a network).

    Raises:
        MissingExtraError: the starter's package, or the one that decodes GGUF, is not installed.
        MissingInputError: no such folder, or the Hub cannot be reached or has no such model.
        ModelFileError: the folder holds no safetensors weights, no tokenizer, or a configuration that is refused.
        StorageError: the cache has no room for what is converted.
    """
    if name.startswith("starter:"):
        found = starter(name)
        return read_folder(found.folder, name=name, licence=found.licence)
    folder = _as_path(name)
    if folder and (file := _gguf(folder)):
        return read_folder(gguf_file.converted(file), name=name)
    if folder and folder.is_dir():
        return read_folder(folder, name=name)
    if folder is None or folder.exists() or not re.fullmatch(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?", name):
        raise MissingInputError(
            f"there is no checkpoint folder {name!r}",
            code="TS-MODEL-001",
            place=Place(key="backbone"),
            fix="give a folder with config.json and model.safetensors, a GGUF file, a Hub name, or one of "
            f"{', '.join(STARTERS)}.",
        )
    return read_folder(download(name), name=name)


def _as_path(name: str) -> Path | None:
    """The name as a path, or None where no file system takes it: an unknown user's home, too long a name."""
    try:
        folder = Path(name).expanduser()
        folder.exists()
    except (OSError, RuntimeError, ValueError):
        return None
    return folder


def _gguf(path: Path) -> Path | None:
    """A GGUF file, or the one in a folder that is no checkpoint by itself."""
    if path.is_file():
        return path if path.suffix.lower() == ".gguf" else None
    if not path.is_dir() or (path / "config.json").exists():
        return None
    files = sorted(path.glob("*.gguf"))
    if len(files) > 1:
        raise ModelFileError(
            f"{len(files)} GGUF files lie in this folder",
            code="TS-MODEL-035",
            place=Place(file=str(path)),
            fix=f"name the one to take, for example {files[0]}",
        )
    return files[0] if files else None


def read_folder(folder: Path, *, name: str, licence: str | None = None) -> Checkpoint:
    """The checkpoint in `folder`.

    Raises:
        ModelFileError: something that a checkpoint needs is missing or refused.
    """
    config = read_config(folder / "config.json")
    weights = weight_files(folder)
    tokenizer = folder / "tokenizer.json"
    if not tokenizer.is_file():
        raise ModelFileError(
            "there is no fast tokenizer in this checkpoint",
            code="TS-MODEL-002",
            place=Place(file=str(tokenizer)),
            fix=f"write one: AutoTokenizer.from_pretrained({name!r}).save_pretrained({str(folder)!r}).",
        )
    return Checkpoint(
        name=name,
        folder=folder,
        config=config,
        tokenizer_file=tokenizer,
        weight_files=weights,
        fingerprint=_fingerprint((folder / "config.json", tokenizer, *weights)),
        licence=licence or _licence(folder / "README.md"),
    )


def weight_files(folder: Path) -> tuple[Path, ...]:
    """`model.safetensors`, or the shards its index names.

    Raises:
        ModelFileError: there are none, or only pickled ones.
    """
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if single.is_file():
        return (single,)
    if index.is_file():
        shards = read_json(index).get("weight_map")
        names = sorted({str(shard) for shard in shards.values()}) if isinstance(shards, dict) else []
        wrong = [shard for shard in names if not re.fullmatch(r"[\w.-]+\.safetensors", shard)]
        if not names or wrong:
            raise ModelFileError(
                f"{wrong[0]!r} is no name of a shard" if wrong else "the index names no shard",
                code="TS-MODEL-004",
                place=Place(file=str(index)),
                fix="copy or download the model again; shards lie beside the index and end in .safetensors.",
            )
        if absent := [shard for shard in names if not (folder / shard).is_file()]:
            raise ModelFileError(
                f"the shard {absent[0]} is missing",
                code="TS-MODEL-004",
                place=Place(file=str(index)),
                fix="copy or download it again.",
            )
        return tuple(folder / shard for shard in names)
    pickled = [file for file in _PICKLED if (folder / file).exists()]
    if pickled:
        raise ModelFileError(
            "these weights are not in the safetensors format; opening them can run code",
            code="TS-MODEL-003",
            place=Place(file=str(folder / pickled[0])),
            fix="if you trust them, convert them once, away from your data, and copy tokenizer.json beside the result: "
            f'python -c "from transformers import AutoModel as M; M.from_pretrained({str(folder)!r})'
            f'.save_pretrained({str(folder) + "-safe"!r})"',
        )
    raise ModelFileError(
        "there are no weights (model.safetensors) in this folder",
        code="TS-MODEL-004",
        place=Place(file=str(folder)),
        fix="save the model with save_pretrained(folder).",
    )


def _fingerprint(files: tuple[Path, ...]) -> str:
    total = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            total.update(f"{file.name}:{hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


def _licence(card: Path) -> str | None:
    """What the front matter of a model card declares."""
    if not card.is_file():
        return None
    with card.open(encoding="utf-8", errors="replace") as stream:
        head = stream.read(4096)
    declared = re.search(r"\A---\n.*?^license:\s*['\"]?([\w.+-]+)", head, re.MULTILINE | re.DOTALL)
    return declared.group(1) if declared else None
