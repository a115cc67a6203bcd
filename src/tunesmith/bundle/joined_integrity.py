"""The door of a bundle of several models: the same refusals as for one (`integrity`), a folder deeper."""

import stat
from pathlib import Path
from typing import Final

from tunesmith.bundle.integrity import (
    check_bytes,
    check_listing,
    manifest_in,
    require_bundle,
    sealed_fields,
    validated_manifest,
)
from tunesmith.bundle.joined_manifest import NAME, ORIGIN, SCHEMA, SHARED, JoinedManifest, kept_files
from tunesmith.bundle.manifest import ADDITIONS, DOCUMENTS, GOLDEN, INDEX, MANIFEST, REFERENCE, Manifest
from tunesmith.core.errors import ModelFileError, Place

_OWN: Final = frozenset((ORIGIN, ADDITIONS, GOLDEN, REFERENCE, INDEX, DOCUMENTS))


def is_joined(folder: Path) -> bool:
    """Whether several models share the bundle in a folder; its seal is verified, and nothing else looked at.

    Raises:
        MissingInputError: no bundle is here.
        ModelFileError: `bundle.json` was changed.
    """
    require_bundle(folder)
    return sealed_fields(folder / MANIFEST).get("schema_version") == SCHEMA


def read_joined_manifest(folder: Path) -> JoinedManifest:
    """What `bundle.json` says, its seal verified and nothing else looked at.

    Raises:
        MissingInputError: no bundle is here.
        ModelFileError: `bundle.json` was changed, or is not that of several models.
    """
    require_bundle(folder)
    path = folder / MANIFEST
    manifest = validated_manifest(JoinedManifest, sealed_fields(path), path, ("adapters",))
    names = manifest.adapters
    bad = [name for name in names if not NAME.fullmatch(name)]
    if bad or len({name.casefold() for name in names}) < len(names):
        raise _refusal(path, "names an adapter that can be none, or one twice", "TS-BUNDLE-009")
    known = {*SHARED, *(f"{name}/{file}" for name in names for file in _OWN)}
    if not set(manifest.files) <= known:
        raise _refusal(path, "lists a file that no such bundle has", "TS-BUNDLE-009")
    return manifest


def check_joined(folder: Path) -> tuple[JoinedManifest, dict[str, Manifest]]:
    """Verify every byte, and give back what the manifest says, and that of each model.

    Raises:
        MissingInputError: no bundle is here.
        ModelFileError: a file is missing, extra, linked, of another size or changed; the place names it.
    """
    manifest = read_joined_manifest(folder)
    _check_folders(folder, manifest)
    check_bytes(folder, manifest.files)
    origins = {name: manifest_in(folder / name / ORIGIN) for name in manifest.adapters}
    if set(manifest.files) != set(manifest.contents(origins)):
        raise _refusal(folder / MANIFEST, "does not list exactly the files of a bundle", "TS-BUNDLE-009")
    for name, origin in origins.items():
        for file in kept_files(origin):
            if manifest.files[f"{name}/{file}"] != origin.files[file]:
                raise _refusal(folder / name / file, "is not that of the bundle it came from", "TS-BUNDLE-007")
    return manifest, origins


def _check_folders(folder: Path, manifest: JoinedManifest) -> None:
    """Exactly the files that are listed lie here and in the folder of each model, and nothing is a link."""
    found = {entry.name for entry in folder.iterdir()}
    for name in manifest.adapters:
        if name not in found:
            raise _refusal(folder / name, "is missing", "TS-BUNDLE-003")
        if not stat.S_ISDIR((folder / name).lstat().st_mode):
            raise _refusal(folder / name, "is a link or not a folder", "TS-BUNDLE-005")
    top = [name for name in manifest.files if "/" not in name]
    check_listing(folder, (MANIFEST, *top), folders=manifest.adapters)
    for name in manifest.adapters:
        inside = [file.removeprefix(f"{name}/") for file in manifest.files if file.startswith(f"{name}/")]
        check_listing(folder / name, inside)


def _refusal(path: Path, message: str, code: str) -> ModelFileError:
    return ModelFileError(
        f"{path.name} {message}",
        code=code,
        place=Place(file=str(path)),
        fix="restore the bundle from where it was made, or join its models again.",
    )
