"""Finished runs, or bundles, to one bundle over the backbone that they share."""

from collections.abc import Sequence
from pathlib import Path

from tunesmith.bundle.integrity import read_manifest
from tunesmith.bundle.join import Member, join
from tunesmith.bundle.joined_manifest import NAME, JoinedManifest
from tunesmith.bundle.manifest import Manifest
from tunesmith.core.errors import MissingInputError, Place, UsageError
from tunesmith.methods._peft_files import WEIGHTS
from tunesmith.methods._stacked import AND
from tunesmith.models.checkpoint import locate
from tunesmith.run.child import child
from tunesmith.run.evaluate import bundle_in
from tunesmith.run.folder import RunFolder

PROGRAM = "tunesmith.run.joining_process"


def joined(sources: Sequence[str], *, out: Path, backbone: str | None = None) -> JoinedManifest:
    """Join what `sources` name, `FOLDER` or `NAME=FOLDER`, into the bundle `out`.

    Args:
        sources: run folders, or bundles; a folder's own name is the model's where none is given.
        out: the folder to write, which must not exist yet.
        backbone: where the backbone lies now, ` + ` and an adapter for each that lies under the runs; where the first
            of them found it unless given.

    Raises:
        UsageError: fewer than two, a name that can be none, or one name for two.
        MissingInputError: no bundle in a folder, or no backbone where the runs found it.
        ConfigError: a model that cannot be joined; the message says why.
    """
    members = [_member(source) for source in sources]
    names = [member.name for member in members]
    if len(members) < 2:
        raise UsageError("there is nothing to join", code="TS-RUN-040", fix="name two runs at least.")
    if len({name.casefold() for name in names}) < len(names):
        raise UsageError(
            "two models would have the same name", code="TS-RUN-042", fix="give names of their own: NAME=FOLDER."
        )
    first = read_manifest(members[0].bundle)
    base, *below = (backbone or first.base.name).rsplit(AND, _stacked(first))
    adapters = [Path(folder) for folder in below]
    for folder in adapters:
        _require_adapter(folder, base)
    return join(members, checkpoint=locate(base), adapters=adapters, out=out, proved=_proved)


def _member(source: str) -> Member:
    named, _, folder = ("", "", source) if Path(source).is_dir() else source.partition("=")
    bundle = bundle_in(Path(folder or named)).absolute()
    run = bundle.parent if bundle.name == "bundle" else None
    name = named if folder and named else (run or bundle).name
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be the name of an adapter",
            code="TS-RUN-041",
            place=Place(file=folder or named),
            fix="give one: NAME=FOLDER, of letters, digits, - and _, at most 64.",
        )
    adapter = RunFolder(run).adapter if run else None
    return Member(name, bundle, adapter if adapter and adapter.is_dir() else None)


def _stacked(manifest: Manifest) -> int:
    """How many adapters lie under a model, as its run was told."""
    config = manifest.provenance.get("config")
    adapters = config.get("adapters") if isinstance(config, dict) else None
    return len(adapters) if isinstance(adapters, list) else 0


def _require_adapter(folder: Path, base: str) -> None:
    """Refuse an adapter below the runs that is not where they found it."""
    if not (folder / WEIGHTS).is_file():
        raise MissingInputError(
            "the adapter that the runs were trained on top of is not there",
            code="TS-RUN-043",
            place=Place(file=str(folder)),
            fix=f"say where it lies as seen from here: --backbone '{base}{AND}FOLDER'.",
        )


def _proved(draft: Path) -> None:
    """Let a new process read what was written; raises what it finds."""
    with child(PROGRAM, {"folder": str(draft.absolute())}) as process:
        *_, last = ({}, *process.said(lambda: None))
        if "proved" not in last or process.wait() != 0:
            raise process.failure(last, "the process that reads the bundle again")
