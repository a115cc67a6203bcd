"""The door of a bundle: which files may lie there, that none is a link, that each is to the byte what was written.

Nothing is parsed before its digest is known to be right, and the manifest is sealed itself. Whoever can write a whole
bundle can of course seal a poisoned one: that is why the readers behind this door trust no value either.
"""

import hashlib
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel

from tunesmith.bundle.joined_manifest import SCHEMA
from tunesmith.bundle.manifest import CONFIG, GOLDEN, MANIFEST, TOKENIZER, FileRecord, Manifest, seal_holds
from tunesmith.core.component import validated
from tunesmith.core.errors import ConfigError, MissingInputError, ModelFileError, Place, StorageError, UsageError
from tunesmith.core.strict_json import JsonFault, parse

MAX_BYTES: Final = {MANIFEST: 16 << 20, CONFIG: 16 << 20, TOKENIZER: 256 << 20, GOLDEN: 64 << 20}
"""What is read into memory whole is bounded before it is read."""
M = TypeVar("M", bound=BaseModel)
_RESTORE: Final = "restore the bundle from where it was made, or write it again."


def check(folder: Path) -> Manifest:
    """Verify every byte of a bundle and give back what its manifest says.

    Raises:
        MissingInputError: no bundle is here.
        ModelFileError: a file is missing, extra, linked, of another size or changed; the place names it.
    """
    manifest = read_manifest(folder)
    check_listing(folder, (MANIFEST, *manifest.contents))
    check_bytes(folder, manifest.files)
    return manifest


def check_bytes(folder: Path, files: Mapping[str, FileRecord]) -> None:
    """Verify the size of every file, then its digest.

    Raises:
        ModelFileError: one is not what was written; the place names it.
    """
    for name, record in files.items():
        size = (folder / name).stat().st_size
        if size != record.size:
            raise refusal(folder / name, f"has {size} bytes where {record.size} were written", "TS-BUNDLE-006")
    for name, record in files.items():
        if digest(folder / name) != record.sha256:
            raise refusal(folder / name, "was changed after the bundle was written", "TS-BUNDLE-007")


def read_manifest(folder: Path) -> Manifest:
    """What `bundle.json` says, its seal verified and nothing else looked at.

    Raises:
        MissingInputError: no bundle is here.
        ModelFileError: `bundle.json` was changed or is no manifest.
    """
    require_bundle(folder)
    return manifest_in(folder / MANIFEST)


def require_bundle(folder: Path) -> None:
    """Refuse a folder without a `bundle.json` of its own.

    Raises:
        MissingInputError: no bundle is here.
    """
    if not (folder / MANIFEST).is_file() or (folder / MANIFEST).is_symlink():
        raise MissingInputError(
            "there is no bundle here: it has no bundle.json of its own",
            code="TS-BUNDLE-001",
            place=Place(file=str(folder)),
            fix="give the folder that training wrote, for example runs/NAME/bundle.",
        )


def read_bytes(path: Path) -> bytes:
    """A regular file of bounded size, never through a link.

    Raises:
        ModelFileError: a link, a device, or larger than its kind may be.
    """
    limit = MAX_BYTES.get(path.name, 16 << 20)
    with os.fdopen(_open(path), "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise refusal(path, f"is larger than {limit} bytes", "TS-BUNDLE-004")
    return data


def digest(path: Path) -> str:
    """sha256 of a regular file, read in pieces."""
    with os.fdopen(_open(path), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _open(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise refusal(path, "is missing", "TS-BUNDLE-003") from None
    except PermissionError as error:
        raise StorageError(
            f"cannot be read: {error.strerror}",
            code="TS-BUNDLE-008",
            place=_at(path),
            fix="let this account read the bundle and all that lies in it (`chmod -R u+rX`).",
        ) from None
    except OSError:
        raise refusal(path, "is a link or cannot be opened", "TS-BUNDLE-005") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise refusal(path, "is not a regular file", "TS-BUNDLE-005")
    return descriptor


def sealed_fields(path: Path) -> dict[str, Any]:
    """What a manifest holds once its seal was found to be right.

    Raises:
        ModelFileError: it was changed, or is no JSON object.
    """
    data = read_bytes(path)
    if not seal_holds(data):
        raise refusal(path, "was changed after the bundle was written", "TS-BUNDLE-007")
    try:
        fields = parse(data)
    except JsonFault as fault:
        raise refusal(path, fault.message, "TS-BUNDLE-009") from None
    return fields if isinstance(fields, dict) else {}


def manifest_in(path: Path) -> Manifest:
    """The manifest of one model that a file holds.

    Raises:
        ModelFileError: it was changed or is no manifest.
        UsageError: it is that of several models, and none was named.
    """
    fields = sealed_fields(path)
    if fields.get("schema_version") == SCHEMA:
        raise not_named(path.parent, fields.get("adapters"))
    if fields.get("schema_version") != 1:
        raise refusal(
            path, "is of a schema that this version does not read", "TS-BUNDLE-010", fix="install a newer tunesmith."
        )
    manifest = validated_manifest(Manifest, fields, path, ("labels", "thresholds", "additions"))
    if set(manifest.files) != set(manifest.contents):
        raise refusal(path, "does not list exactly the files of a bundle", "TS-BUNDLE-009")
    return manifest


def validated_manifest(kind: type[M], fields: dict[str, Any], path: Path, arrays: Sequence[str]) -> M:
    """The fields as a manifest. JSON knows arrays only; strict validation wants the tuples that a manifest holds.

    Raises:
        ModelFileError: a field is missing, unknown or of another type.
    """
    tuples = {name: tuple(value) for name in arrays if isinstance(value := fields.get(name), list)}
    try:
        return validated(kind, fields | tuples, key=MANIFEST)
    except ConfigError as error:
        raise refusal(path, f"{error.place}: {error.message}", "TS-BUNDLE-009") from None


def not_named(folder: Path, names: object) -> UsageError:
    """The error for a bundle of several models where none of them was named."""
    known = ", ".join(map(str, names)) if isinstance(names, list | tuple) else "several models"
    return UsageError(
        "several models share this bundle, and none of them was named",
        code="TS-BUNDLE-050",
        place=_at(folder),
        fix=f"say which one is to answer (`adapter`, or --adapter NAME): {known}.",
    )


def check_listing(folder: Path, names: Sequence[str], *, folders: Sequence[str] = ()) -> None:
    """Verify that exactly the files `names` lie in a folder, beside `folders`, and none of them is a link.

    Raises:
        ModelFileError: one is missing, extra or linked; the place names it.
    """
    found = {entry.name for entry in os.scandir(folder)}
    for name in names:
        if name not in found:
            raise refusal(folder / name, "is missing", "TS-BUNDLE-003")
    for name in sorted(found - {*names, *folders}):
        fix = "move it elsewhere: a bundle holds its own files only, so that nothing unknown is ever read from it."
        raise refusal(folder / name, "does not belong to the bundle", "TS-BUNDLE-002", fix=fix)
    for name in names:
        if not stat.S_ISREG((folder / name).lstat().st_mode):
            raise refusal(folder / name, "is a link or not a regular file", "TS-BUNDLE-005")


def refusal(path: Path, message: str, code: str, *, fix: str = _RESTORE) -> ModelFileError:
    """The error of a file that is not what a bundle holds."""
    return ModelFileError(f"{path.name} {message}", code=code, place=_at(path), fix=fix)


def _at(path: Path) -> Place:
    return Place(file=str(path))
