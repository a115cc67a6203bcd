"""From a folder to a model that answers. The only door between training and serving, and it trusts nothing.

Order: names, sizes and digests of all files (`integrity`), then strict JSON, then the tokenizer, then a backbone built
from a configuration without keys that can run code, then weights of exactly the expected names and shapes, all finite.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from tunesmith.bundle.collection import Collection, read_collection
from tunesmith.bundle.integrity import check, read_bytes
from tunesmith.bundle.manifest import ADDITIONS, CONFIG, DOCUMENTS, INDEX, TOKENIZER, TOKENIZER_CONFIG, Manifest
from tunesmith.core.errors import ModelFileError, Place
from tunesmith.core.finite import is_finite
from tunesmith.core.model import Model
from tunesmith.core.rooms import TASKS
from tunesmith.core.strict_json import JsonFault, parse
from tunesmith.core.task import Task
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.models.additions import add
from tunesmith.models.config_file import cleaned
from tunesmith.models.hub_names import load_hub_state
from tunesmith.models.loading import build_backbone
from tunesmith.models.precision import Precision
from tunesmith.models.template_file import template_in
from tunesmith.models.weights import read_tensors


@dataclass(frozen=True, slots=True)
class Bundle:
    """A verified bundle in memory: what it says about itself, and everything needed to answer."""

    folder: Path
    manifest: Manifest
    task: Task
    tokenizer: Tokenizer
    model: Model
    precision: Precision = "fp32"
    """What the model computes in"""
    collection: Collection | None = None
    """What it searches, where the task ranks documents"""


def open_bundle(folder: Path | str) -> Bundle:
    """Verify and load a bundle. The model is in evaluation mode, fp32, on the CPU.

    Raises:
        MissingInputError: no bundle is here.
        ModelFileError: any file is missing, extra, changed, or says something that cannot be.
    """
    folder = Path(folder)
    return load(folder, check(folder))


def load(folder: Path, manifest: Manifest) -> Bundle:
    """Build what a verified `manifest` describes from the files in `folder`; raises what `open_bundle` raises."""
    task = task_of(folder, manifest)
    backbone = build_backbone(config_of(folder))
    tokenizer = Tokenizer(
        folder / TOKENIZER,
        max_length=manifest.tokenizer.max_length,
        causal=backbone.causal,
        template=template_in(json_object(folder / TOKENIZER_CONFIG), file=str(folder / TOKENIZER_CONFIG)),
    )
    model = Model(backbone, task.head(backbone))
    load_hub_state(model, weights_of(folder / manifest.weights))
    if manifest.additions:
        add(model, weights_of(folder / ADDITIONS))
    collection = None
    if manifest.documents:
        collection = read_collection(folder / INDEX, folder / DOCUMENTS, width=backbone.width)
    return Bundle(folder, manifest, task, tokenizer, model.float().eval(), collection=collection)


def config_of(folder: Path) -> dict[str, Any]:
    """The configuration of the backbone.

    Raises:
        ModelFileError: not a JSON object, or with a key that can make a loader run code.
    """
    path = folder / CONFIG
    return cleaned(json_object(path), file=str(path))


def weights_of(path: Path) -> dict[str, Tensor]:
    """Every tensor of a file, floating ones in fp32, all of them finite.

    Raises:
        ModelFileError: damaged, an absurd header, or a value that is not a finite number.
    """
    tensors = read_tensors([path])
    for name, tensor in tensors.items():
        if not is_finite(tensor):
            raise _refusal(path, f"holds a value that is not a finite number, in {name}")
    return tensors


def task_of(folder: Path, manifest: Manifest) -> Task:
    """The task of a manifest in `folder`.

    Raises:
        ConfigError, ModelFileError: there is no such task, or it has other labels than the manifest.
    """
    task = TASKS.make(manifest.task, key="task")
    if tuple(task.label_names) != manifest.labels:
        raise _refusal(folder / "bundle.json", "lists other labels than its task")
    return task


def json_object(path: Path) -> dict[str, Any]:
    """The object that a file holds.

    Raises:
        ModelFileError: it holds none.
    """
    try:
        value = parse(read_bytes(path))
    except JsonFault as fault:
        raise _refusal(path, fault.message) from None
    if not isinstance(value, dict):
        raise _refusal(path, "is not an object")
    return value


def _refusal(path: Path, message: str) -> ModelFileError:
    return ModelFileError(
        f"{path.name} {message}",
        code="TS-BUNDLE-011",
        place=Place(file=str(path)),
        fix="write the bundle again from a run that you trust.",
    )
