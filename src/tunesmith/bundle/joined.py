"""Several models over one backbone, from a folder to memory: the backbone once, and what each model put around it."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from tunesmith.bundle.collection import read_collection
from tunesmith.bundle.joined_integrity import check_joined
from tunesmith.bundle.joined_manifest import JoinedManifest
from tunesmith.bundle.manifest import (
    ADDITIONS,
    DOCUMENTS,
    INDEX,
    TOKENIZER,
    TOKENIZER_CONFIG,
    WEIGHTS,
    Manifest,
)
from tunesmith.bundle.precision import Wanted, chosen_precision
from tunesmith.bundle.read import Bundle, config_of, json_object, task_of, weights_of
from tunesmith.core.errors import UsageError
from tunesmith.core.model import Backbone, Model
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.models.answering import TYPES
from tunesmith.models.encoder import Encoder
from tunesmith.models.hub_names import load_hub_state
from tunesmith.models.learnt import fill_learnt
from tunesmith.models.loading import build_backbone
from tunesmith.models.precision import Precision
from tunesmith.models.shared_encoder import SharedBackbone, SharedEncoder
from tunesmith.models.surgery import sharing
from tunesmith.models.template_file import template_in


@dataclass(frozen=True, slots=True)
class JoinedBundle:
    """A verified bundle of several models in memory."""

    folder: Path
    manifest: JoinedManifest
    backbone: Backbone | None
    """Over whose tensors all models are; None once they are in the form that answers"""
    parts: dict[str, Bundle]
    """The models by name"""
    precision: Precision = "fp32"
    """What they compute in"""


def open_joined(folder: Path | str) -> JoinedBundle:
    """Verify and load a bundle of several models. They are in evaluation mode, fp32, on the CPU.

    Raises:
        MissingInputError: no bundle is here.
        ModelFileError: any file is missing, extra, changed, or says something that cannot be.
    """
    folder = Path(folder)
    return load_joined(folder, *check_joined(folder))


def load_joined(folder: Path, manifest: JoinedManifest, origins: dict[str, Manifest]) -> JoinedBundle:
    """Build what verified manifests describe from the files in `folder`; raises what `open_joined` raises."""
    backbone = build_backbone(config_of(folder))
    load_hub_state(Model(backbone, nn.Identity()), weights_of(folder / WEIGHTS))
    backbone.float().eval()
    tokenizers: dict[int, Tokenizer] = {}
    parts = {}
    for name, origin in origins.items():
        length = origin.tokenizer.max_length
        if length not in tokenizers:
            tokenizers[length] = _tokenizer(folder, backbone, length)
        parts[name] = _part(folder / name, origin, backbone, tokenizers[length])
    return JoinedBundle(folder, manifest, backbone, parts)


def ready_joined(joined: JoinedBundle, wanted: Wanted) -> JoinedBundle:
    """The models in the form that answers fastest. Let go of `joined`: it holds the weights once more.

    An encoder that Tunesmith runs itself reads for all models in one pass. Another backbone is one in memory, too, and
    reads for one model after the other, in fp32.

    Raises:
        UsageError: no such precision, or one that such a backbone has not.
    """
    backbone = joined.backbone
    if backbone is None:
        return joined
    precision = chosen_precision(wanted, backbone.width)
    if not isinstance(backbone, Encoder):
        if wanted == "bf16":
            raise UsageError(
                f"models over one {backbone.config['model_type']} answer in fp32 only",
                code="TS-BUNDLE-051",
                fix="leave the precision out.",
            )
        return replace(joined, backbone=None)
    own = {name: part.model.backbone for name, part in joined.parts.items()}
    models = {name: model for name, model in own.items() if isinstance(model, Encoder)}
    with torch.inference_mode():
        shared = SharedEncoder(backbone, models, dtype=TYPES[precision])
    parts = {
        name: replace(part, model=Model(SharedBackbone(shared, name), part.model.head).eval(), precision=precision)
        for name, part in joined.parts.items()
    }
    return replace(joined, backbone=None, parts=parts, precision=precision)


def _tokenizer(folder: Path, backbone: Backbone, length: int) -> Tokenizer:
    settings = folder / TOKENIZER_CONFIG
    template = template_in(json_object(settings), file=str(settings))
    return Tokenizer(folder / TOKENIZER, max_length=length, causal=backbone.causal, template=template)


def _part(folder: Path, origin: Manifest, backbone: Backbone, tokenizer: Tokenizer) -> Bundle:
    task = task_of(folder, origin)
    own = sharing(backbone)
    model = Model(own, task.head(own))
    fill_learnt(model, weights_of(folder / ADDITIONS))
    collection = None
    if origin.documents:
        collection = read_collection(folder / INDEX, folder / DOCUMENTS, width=backbone.width)
    return Bundle(folder, origin, task, tokenizer, model.eval(), collection=collection)
