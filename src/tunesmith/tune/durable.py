"""Folders that appear whole or not at all, and can prove that they are whole.

    NAME.tmp-PID/  write each file, sync it -> MANIFEST.json (sha256 and size of each) -> sync the folder
    -> rename an older NAME to NAME.old-PID -> rename to NAME -> sync the parent

A crash at any point leaves the old state, which `restore` finds again, or the new one. A changed byte is found by its
hash before anything is used.
"""

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tunesmith.core import atomic
from tunesmith.core.errors import Place, StorageError

MANIFEST = "MANIFEST.json"
_LEFTOVER = re.compile(r".*\.(?:tmp|del)-\d+")
_ASIDE = re.compile(r"(.*)\.old-\d+")
_PIECE = 1 << 22


def write_folder(target: Path, *, tensors: Mapping[str, Tensor], record: Mapping[str, Any], sync: bool = True) -> int:
    """Write `tensors.safetensors` and `record.json` into a new folder `target`; returns the bytes written.

    With `sync=False` the folder is atomic but may be lost, or found damaged, after a power cut.

    Raises:
        StorageError: the disk failed or is full. Nothing of the folder is left, and what was there before is untouched.
    """
    fresh = target.with_name(f"{target.name}.tmp-{os.getpid()}")
    content: dict[str, Iterable[bytes | memoryview]] = {
        "record.json": [json.dumps(record, indent=1).encode()],
        "tensors.safetensors": _pieces(tensors),
    }
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _clear(fresh)
        os.mkdir(fresh)
        files = {name: _write(fresh / name, pieces, sync) for name, pieces in content.items()}
        _write(fresh / MANIFEST, [json.dumps({"schema": 1, "files": files}, indent=1).encode()], sync)
        if sync:
            atomic.sync(fresh)
        aside = target.with_name(f"{target.name}.old-{os.getpid()}")
        if target.exists():
            _clear(aside)  # a crashed process may have had the same number: in containers numbers come again
            os.rename(target, aside)
        os.rename(fresh, target)
        if sync:
            atomic.sync(target.parent)
        _clear(aside)
    except OSError as error:
        with contextlib.suppress(OSError):
            restore(target.parent)
            _clear(fresh)
        raise _storage_error(error, target, _size(tensors)) from None
    return sum(int(facts["bytes"]) for facts in files.values())


def retire(target: Path) -> None:
    """Remove a folder so that a crash half-way leaves nothing that looks whole: renamed first, then deleted."""
    if target.exists():
        doomed = target.with_name(f"{target.name}.del-{os.getpid()}")
        _clear(doomed)
        os.rename(target, doomed)
        _clear(doomed)


def restore(parent: Path) -> None:
    """Bring back folders that a crash left set aside before the new one stood in their place."""
    for path in sorted(parent.iterdir()) if parent.is_dir() else ():
        if (name := _ASIDE.fullmatch(path.name)) and not path.with_name(name[1]).exists():
            os.rename(path, path.with_name(name[1]))


def sweep(parent: Path) -> None:
    """Delete what crashes left behind half-written, half-deleted or replaced."""
    restore(parent)
    for path in parent.iterdir():
        if _LEFTOVER.fullmatch(path.name) or _ASIDE.fullmatch(path.name):
            _clear(path)


def damage(folder: Path) -> str | None:
    """What is wrong with a folder that `write_folder` wrote, or None where every byte is as it was."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        if manifest["schema"] != 1 or set(manifest["files"]) != {"record.json", "tensors.safetensors"}:
            return f"{MANIFEST} is damaged"
        for name, facts in manifest["files"].items():
            path = folder / name
            if path.stat().st_size != facts["bytes"]:
                return f"{name} has {path.stat().st_size} bytes instead of {facts['bytes']}"
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != facts["sha256"]:
                    return f"{name} has changed since it was written"
    except FileNotFoundError as error:
        return f"{Path(str(error.filename)).name} is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"{MANIFEST} is damaged"
    return None


def _write(path: Path, pieces: Iterable[bytes | memoryview], sync: bool) -> dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        for piece in pieces:
            digest.update(piece)
            rest = memoryview(piece)
            while rest:
                written = os.write(handle, rest[:_PIECE])
                rest, size = rest[written:], size + written
        if sync:
            os.fsync(handle)
    finally:
        os.close(handle)
    return {"sha256": digest.hexdigest(), "bytes": size}


def _pieces(tensors: Mapping[str, Tensor]) -> Iterator[bytes | memoryview]:
    """A safetensors file, tensor by tensor, so that saving needs no second copy of the state in memory."""
    header: dict[str, Any] = {}
    position = 0
    for name, tensor in tensors.items():
        if tensor.dtype != torch.float32:
            raise TypeError(f"{name} is {tensor.dtype}: states hold fp32")
        end = position + 4 * tensor.numel()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [position, end]}
        position = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for tensor in tensors.values():
        if tensor.numel():
            yield raw(tensor)


def raw(tensor: Tensor) -> memoryview:
    """The bytes of a tensor in row order, without a copy where it is contiguous on the CPU."""
    return tensor.detach().cpu().contiguous().reshape(-1).numpy().view(np.uint8).data


def _size(tensors: Mapping[str, Tensor]) -> int:
    return sum(4 * tensor.numel() for tensor in tensors.values())


def _clear(path: Path) -> None:
    if path.exists():
        shutil.rmtree(path)


def _storage_error(error: OSError, target: Path, needed: int) -> StorageError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    reason, cure = f"cannot write: {error.strerror}", "let this account write there"
    if full:
        reason, cure = f"the disk is full: {needed:,} bytes are needed", "free some space"
        with contextlib.suppress(OSError):
            reason += f", {shutil.disk_usage(target.parent).free:,} bytes are left"
    return StorageError(
        reason,
        code="TS-CKPT-010",
        place=Place(file=str(target)),
        fix=f"{cure}, then go on with --resume; the states saved before are whole.",
    )
