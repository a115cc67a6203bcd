"""From bundles of models over one backbone to one bundle: the backbone once, and what each of them learnt beside it.

A model can be joined where a small addition makes of the backbone what it is: a low-rank update or factors (out of the
files of peft that its run left), additions, biases, or a head alone. That is not believed but computed: the backbone
with the addition must have the weights of the model's own bundle, and a new process that reads what was written must
answer the golden rows of each as they were answered there. Only then the folder appears.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from torch import Tensor, nn

from tunesmith.bundle import golden
from tunesmith.bundle.joined import open_joined, ready_joined
from tunesmith.bundle.joined_card import joined_card
from tunesmith.bundle.joined_integrity import read_joined_manifest
from tunesmith.bundle.joined_manifest import ORIGIN, JoinedManifest, kept_files
from tunesmith.bundle.manifest import (
    ADDITIONS,
    CARD,
    CONFIG,
    MANIFEST,
    TOKENIZER,
    TOKENIZER_CONFIG,
    WEIGHTS,
    sealed,
)
from tunesmith.bundle.read import Bundle, open_bundle
from tunesmith.bundle.tokenizer_config import tokenizer_config
from tunesmith.bundle.write import (
    PARITY,
    UNSEALED,
    json_bytes,
    own_version,
    records,
    refuse_existing,
    workshop,
    write_bytes,
    write_tensors,
)
from tunesmith.core.atomic import sync
from tunesmith.core.errors import ConfigError, ModelFileError, Place
from tunesmith.core.model import Backbone, Model
from tunesmith.core.task import WritingTask
from tunesmith.methods._beside import WeightsMoved, learnt_beside
from tunesmith.methods._stacked import with_adapter
from tunesmith.models.checkpoint import Checkpoint
from tunesmith.models.hub_config import hub_config
from tunesmith.models.hub_names import hub_state
from tunesmith.models.loading import load_backbone

_FOLDED: Final = ("lora", "adalora", "ia3")
_SMALL: Final = (*_FOLDED, "adapter", "prefix", "soft_prompt", "bitfit", "head_only")


@dataclass(frozen=True, slots=True)
class Member:
    """A finished model that is to be joined."""

    name: str
    """What it will be asked by"""
    bundle: Path
    adapter: Path | None
    """The files of peft beside its bundle, where there are any"""


def join(
    members: Sequence[Member],
    *,
    checkpoint: Checkpoint,
    adapters: Sequence[Path] = (),
    out: Path,
    proved: Callable[[Path], None],
) -> JoinedManifest:
    """Write the bundle `out`, which must not exist yet, and give back its manifest.

    `adapters` lie under all of them, folded into the checkpoint in this order. `proved` is given the folder before it
    appears, and raises what is wrong with it: it should read it in a process that knows nothing of this one
    (`prove_written`).

    Raises:
        CannotCreateError: `out` exists or its parent cannot be written.
        ConfigError: a model of another backbone, or one that leaves no small addition.
        MissingInputError, ModelFileError: a bundle is not there or damaged, or what was written answers otherwise.
        StorageError: the disk is full or fails; nothing is left behind.
    """
    refuse_existing(out)
    opened = {member.name: open_bundle(member.bundle) for member in members}
    backbone = load_backbone(checkpoint).float().eval()
    for adapter in adapters:
        checkpoint = with_adapter(backbone, checkpoint, adapter)
    _require_one_backbone(opened, checkpoint)
    backbone.requires_grad_(False)
    with workshop(out) as draft:
        _write_shared(draft, backbone, list(opened.values()))
        for member in members:
            _write_own(draft / member.name, member, opened[member.name], backbone)
        origins = {name: one.manifest for name, one in opened.items()}
        base = next(iter(origins.values())).base
        names = tuple(origins)
        manifest = JoinedManifest(
            digest=UNSEALED, tunesmith=own_version(), name=out.name, adapters=names, base=base, files={}
        )
        write_bytes(draft / CARD, joined_card(manifest, origins).encode())
        files = records(draft, manifest.contents(origins))
        fields = manifest.model_copy(update={"files": files}).model_dump(mode="json", exclude={"digest"})
        write_bytes(draft / MANIFEST, sealed(fields))
        proved(draft)
        sync(draft)
        os.rename(draft, out)
        sync(out.parent)
    return read_joined_manifest(out)


def prove_written(draft: Path) -> dict[str, int]:
    """Read what was written, and answer the golden rows of each model; how many there are, by name.

    Raises:
        ModelFileError: an answer is not that of the model's own bundle.
    """
    joined = ready_joined(open_joined(draft), "fp32")
    counts = {}
    for name, part in joined.parts.items():
        rows = golden.read(part.folder)
        for difference in golden.differences(part, rows, tolerance=PARITY):
            raise ModelFileError(
                f"{name} does not answer as its own bundle does: {difference}",
                code="TS-BUNDLE-056",
                place=Place(key=name),
                fix="this is a bug in tunesmith: please report it with the configuration of the run.",
            )
        counts[name] = len(rows)
    return counts


def _require_one_backbone(opened: Mapping[str, Bundle], checkpoint: Checkpoint) -> None:
    """Refuse a model over another backbone, with another tokenizer, or one that writes."""
    for bundle in opened.values():
        base = bundle.manifest.base
        if base.fingerprint != checkpoint.fingerprint:
            raise _unfit(
                bundle,
                f"it was trained on another backbone ({base.name}, {base.fingerprint[:12]}) than is taken "
                f"({checkpoint.name}, {checkpoint.fingerprint[:12]})",
                code="TS-BUNDLE-053",
                fix="join models of one backbone, and say where it lies now with --backbone if it was moved.",
            )
        if bundle.tokenizer.serialized != checkpoint.tokenizer_file.read_bytes():
            raise _unfit(bundle, "it has another tokenizer", code="TS-BUNDLE-053", fix="train it on this backbone.")
        if isinstance(bundle.task, WritingTask):
            raise _unfit(
                bundle,
                "it writes, and a writer keeps the weights in a form of its own",
                code="TS-BUNDLE-054",
                fix="serve it from its own bundle.",
            )


def _write_shared(draft: Path, backbone: Backbone, bundles: Sequence[Bundle]) -> None:
    """The backbone as transformers opens it."""
    model = Model(backbone, nn.Identity())
    write_bytes(draft / CONFIG, json_bytes(hub_config(model, labels=(), problem="vectors")))
    write_tensors(draft / WEIGHTS, hub_state(model), like=draft / CONFIG)
    tokenizer = max((bundle.tokenizer for bundle in bundles), key=lambda one: one.max_length)
    write_bytes(draft / TOKENIZER, tokenizer.serialized)
    write_bytes(draft / TOKENIZER_CONFIG, json_bytes(tokenizer_config(tokenizer)))


def _write_own(folder: Path, member: Member, own: Bundle, backbone: Backbone) -> None:
    """The folder of one model."""
    folder.mkdir()
    write_bytes(folder / ORIGIN, (own.folder / MANIFEST).read_bytes())
    for file in kept_files(own.manifest):
        write_bytes(folder / file, (own.folder / file).read_bytes())
    write_tensors(folder / ADDITIONS, _learnt(member, own, backbone), like=folder / ORIGIN)


def _learnt(member: Member, own: Bundle, backbone: Backbone) -> dict[str, Tensor]:
    """What a model holds beside the backbone.

    Raises:
        ConfigError: the backbone with it is not the model.
    """
    try:
        return learnt_beside(backbone, own.model, adapter=None if own.manifest.additions else member.adapter)
    except WeightsMoved as moved:
        raise _moved(member, own, moved.name) from None


def _moved(member: Member, own: Bundle, name: str) -> ConfigError:
    """The error for weights that no small addition accounts for."""
    config = own.manifest.provenance.get("config")
    method = config.get("method") if isinstance(config, dict) else None
    kind = method.get("kind") if isinstance(method, dict) else method
    if kind in _FOLDED and member.adapter is None:
        why = f"what {kind} learnt is folded into its weights, and no adapter/ lies beside the bundle"
        fix = "name its run folder, in which its adapter/ lies."
    else:
        why = f"{kind or 'its method'} changed the weights of the backbone themselves ({name})"
        fix = f"train it with a method that leaves a small addition: {', '.join(_SMALL)}."
    return _unfit(own, f"it cannot share the backbone: {why}", code="TS-BUNDLE-055", fix=fix)


def _unfit(bundle: Bundle, what: str, *, code: str, fix: str) -> ConfigError:
    return ConfigError(what, code=code, place=Place(file=str(bundle.folder)), fix=fix)
