"""The door of a bundle: which files may lie there, that none is a link, that each is to the byte what was written.

Nothing is parsed before its digest is known to be right, and the manifest is sealed itself. Whoever can write a whole
bundle can of course seal a poisoned one: that is why the readers behind this door trust no value either.
"""

import hashlib
import os
import stat
from pathlib import Path
from typing import Final

from tunesmith.bundle.manifest import CONFIG, GOLDEN, MANIFEST, TOKENIZER, Manifest, seal_holds
from tunesmith.core.component import validated
from tunesmith.core.errors import ConfigError, MissingInputError, ModelFileError, Place, StorageError
from tunesmith.core.strict_json import JsonFault, parse

MAX_BYTES: Final = {MANIFEST: 16 << 20, CONFIG: 16 << 20, TOKENIZER: 256 << 20, GOLDEN: 64 << 20}
"""What is read into memory whole is bounded before it is read."""
_RESTORE: Final = "restore the bundle from where it was made, or write it again."


def check(folder: Path) -> Manifest:
    """Verify every byte of a bundle and give back what its manifest says.

    Raises:
        MissingInputError: no bundle is here.
        ModelFileError: a file is missing, extra, linked, of another size or changed; the place names it.
    """
    manifest = read_manifest(folder)
    _check_listing(folder, manifest.contents)
    for name in manifest.contents:
        record = manifest.files[name]
        size = (folder / name).stat().st_size
        if size != record.size:
            raise _refusal(folder / name, f"has {size} bytes where {record.size} were written", "TS-BUNDLE-006")
    for name in manifest.contents:
        if digest(folder / name) != manifest.files[name].sha256:
            raise _refusal(folder / name, "was changed after the bundle was written", "TS-BUNDLE-007")
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """What `bundle.json` says, its seal verified and nothing else looked at.

    Raises:
        MissingInputError: no bundle is here.
        ModelFileError: `bundle.json` was changed or is no manifest.
    """
    if not (folder / MANIFEST).is_file() or (folder / MANIFEST).is_symlink():
        raise MissingInputError(
            "there is no bundle here: it has no bundle.json of its own",
            code="TS-BUNDLE-001",
            place=Place(file=str(folder)),
            fix="give the folder that training wrote, for example runs/NAME/bundle.",
        )
    return _manifest(folder)


def read_bytes(path: Path) -> bytes:
    """A regular file of bounded size, never through a link.

    Raises:
        ModelFileError: a link, a device, or larger than its kind may be.
    """
    limit = MAX_BYTES.get(path.name, 16 << 20)
    with os.fdopen(_open(path), "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise _refusal(path, f"is larger than {limit} bytes", "TS-BUNDLE-004")
    return data


def digest(path: Path) -> str:
    """sha256 of a regular file, read in pieces."""
    with os.fdopen(_open(path), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _open(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise _refusal(path, "is missing", "TS-BUNDLE-003") from None
    except PermissionError as error:
        raise StorageError(
            f"cannot be read: {error.strerror}",
            code="TS-BUNDLE-008",
            place=_at(path),
            fix="let this account read the bundle and all that lies in it (`chmod -R u+rX`).",
        ) from None
    except OSError:
        raise _refusal(path, "is a link or cannot be opened", "TS-BUNDLE-005") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _refusal(path, "is not a regular file", "TS-BUNDLE-005")
    return descriptor


def _manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    data = read_bytes(path)
    if not seal_holds(data):
        raise _refusal(path, "was changed after the bundle was written", "TS-BUNDLE-007")
    try:
        fields = parse(data)
    except JsonFault as fault:
        raise _refusal(path, fault.message, "TS-BUNDLE-009") from None
    if not isinstance(fields, dict) or fields.get("schema_version") != 1:
        raise _refusal(
            path, "is of a schema that this version does not read", "TS-BUNDLE-010", fix="install a newer tunesmith."
        )
    try:
        manifest = validated(Manifest, fields | _as_tuples(fields), key=MANIFEST)
    except ConfigError as error:
        raise _refusal(path, f"{error.place}: {error.message}", "TS-BUNDLE-009") from None
    if set(manifest.files) != set(manifest.contents):
        raise _refusal(path, "does not list exactly the files of a bundle", "TS-BUNDLE-009")
    return manifest


def _as_tuples(fields: dict[str, object]) -> dict[str, object]:
    """JSON knows arrays only; strict validation wants the tuples that the manifest holds."""
    arrays = {name: fields.get(name) for name in ("labels", "thresholds", "additions")}
    return {name: tuple(value) for name, value in arrays.items() if isinstance(value, list)}


def _check_listing(folder: Path, contents: tuple[str, ...]) -> None:
    found = {entry.name for entry in os.scandir(folder)}
    for name in contents:
        if name not in found:
            raise _refusal(folder / name, "is missing", "TS-BUNDLE-003")
    for name in sorted(found - {MANIFEST, *contents}):
        fix = "move it elsewhere: a bundle holds its own files only, so that nothing unknown is ever read from it."
        raise _refusal(folder / name, "does not belong to the bundle", "TS-BUNDLE-002", fix=fix)
    for name in contents:
        if not stat.S_ISREG((folder / name).lstat().st_mode):
            raise _refusal(folder / name, "is a link or not a regular file", "TS-BUNDLE-005")


def _refusal(path: Path, message: str, code: str, *, fix: str = _RESTORE) -> ModelFileError:
    return ModelFileError(f"{path.name} {message}", code=code, place=_at(path), fix=fix)


def _at(path: Path) -> Place:
    return Place(file=str(path))
