"""From a trained model to a bundle: written beside its place, read back, compared, and only then moved there.

A bundle appears whole or not at all. The golden rows are what the files on disk answer, after proof that they answer
as the model in memory does, so a mistake in renaming or folding weights can never leave the workshop.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from safetensors.torch import save_file
from torch import Tensor

from tunesmith.bundle import card, golden, reference
from tunesmith.bundle.collection import Collection, documents_bytes, index_bytes
from tunesmith.bundle.integrity import check, digest
from tunesmith.bundle.manifest import (
    ADDITIONS,
    CARD,
    CONFIG,
    DOCUMENTS,
    GOLDEN,
    INDEX,
    MANIFEST,
    REFERENCE,
    TOKENIZER,
    TOKENIZER_CONFIG,
    BaseRecord,
    FileRecord,
    Manifest,
    TokenizerRecord,
    sealed,
)
from tunesmith.bundle.predictor import Predictor, reads_pairs
from tunesmith.bundle.read import Bundle, load
from tunesmith.bundle.tokenizer_config import tokenizer_config
from tunesmith.core.atomic import sync
from tunesmith.core.errors import CannotCreateError, ModelFileError, Place, StorageError
from tunesmith.core.example import Example
from tunesmith.core.finite import is_finite
from tunesmith.core.model import Model
from tunesmith.core.task import RankingTask, Task, WritingTask
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.models.additions import additions, additions_state
from tunesmith.models.hub_config import Problem, hub_config
from tunesmith.models.hub_names import hub_state

PARITY: Final = 1e-4
"""How far a logit on disk may lie from the one in memory, on top of the same share of its size."""
UNSEALED: Final = "sha256:" + "0" * 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a bundle says about where it comes from."""

    name: str
    """What people will call the model."""
    base: BaseRecord
    """The pretrained checkpoint."""
    data_fingerprint: str
    """sha256 of the training examples."""
    golden_examples: Sequence[Example]
    """At most 32 of them become golden rows; best from dev or test. Their texts are stored."""
    reference_examples: Sequence[Example]
    """At most 1,000 of them describe what normal traffic looks like. Their texts are not stored."""
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    """The `splits` of report.json."""
    licence: str | None = None
    """The licence of the training data, None where nobody stated it."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Configuration, seed, machine, commit: JSON values."""


def write_bundle(
    folder: Path,
    *,
    model: Model,
    task: Task,
    tokenizer: Tokenizer,
    origin: Origin,
    collection: Collection | None = None,
) -> Path:
    """Write the bundle `folder`, which must not exist yet, and give it back. `model` is left as it was.

    `collection` is what a task searches that ranks documents.

    Raises:
        CannotCreateError: `folder` exists or its parent cannot be written.
        StorageError: the disk is full or fails; nothing is left behind.
        ModelFileError: what was written does not answer as `model` does.
    """
    refuse_existing(folder)
    with workshop(folder) as draft:
        manifest = _manifest(model, task, tokenizer, origin)
        manifest = manifest.model_copy(update={"documents": len(collection.documents) if collection else 0})
        _write_model(draft, model, manifest, task, tokenizer)
        if collection:
            write_bytes(draft / INDEX, index_bytes(collection))
            write_bytes(draft / DOCUMENTS, documents_bytes(collection))
        written = load(draft, manifest)
        in_memory = Bundle(draft, manifest, task, tokenizer, model, collection=collection)
        _write_evidence(draft, written, in_memory, origin)
        write_bytes(draft / CARD, card.card(manifest).encode())
        fields = manifest.model_copy(update={"files": records(draft, manifest.contents)}).model_dump(
            mode="json", exclude={"digest"}
        )
        write_bytes(draft / MANIFEST, sealed(fields))
        check(draft)
        sync(draft)
        os.rename(draft, folder)
        sync(folder.parent)
    return folder


def refuse_existing(folder: Path) -> None:
    """Refuse to write over what is there.

    Raises:
        CannotCreateError: `folder` exists.
    """
    if folder.exists() or folder.is_symlink():
        raise CannotCreateError(
            "a bundle is never written over another",
            code="TS-BUNDLE-013",
            place=Place(file=str(folder)),
            fix="choose a new folder or move the old one away.",
        )


def problem_of(task: Task) -> Problem:
    """What transformers calls the problem that the head solves, read off the task's own table."""
    table = task.as_table()
    by_kind: dict[str, Problem] = {
        "token_classification": "token",
        "extractive_qa": "answer",
        "label_matching": "matching",
        "joint_classification": "joint",
        "cloze_classification": "language",
    }
    if table["kind"] in by_kind:
        return by_kind[table["kind"]]
    if isinstance(task, WritingTask):
        return "language"
    if isinstance(task, RankingTask):
        return "vectors"
    if not task.label_names:
        return "regression"
    return "multi_label" if table.get("multi_label") else "single_label"


@contextmanager
def workshop(folder: Path) -> Iterator[Path]:
    """A draft folder beside the final place, gone again whatever happens."""
    draft = folder.with_name(f".{folder.name}.tmp{os.getpid()}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        yield draft
    except OSError as error:
        kind = (
            CannotCreateError
            if isinstance(error, PermissionError | FileExistsError | NotADirectoryError)
            else StorageError
        )
        raise kind(
            f"the bundle could not be written: {error.strerror or error}",
            code="TS-BUNDLE-014",
            place=Place(file=str(folder)),
            fix="make room or choose another folder; nothing was left behind.",
        ) from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _write_model(draft: Path, model: Model, manifest: Manifest, task: Task, tokenizer: Tokenizer) -> None:
    config = hub_config(model, labels=task.label_names, problem=problem_of(task))
    write_bytes(draft / CONFIG, json_bytes(config))
    write_tensors(draft / manifest.weights, hub_state(model), like=draft / CONFIG)
    if manifest.additions:
        write_tensors(draft / ADDITIONS, additions_state(model), like=draft / CONFIG)
    write_bytes(draft / TOKENIZER, tokenizer.serialized)
    write_bytes(draft / TOKENIZER_CONFIG, json_bytes(tokenizer_config(tokenizer)))


def write_tensors(path: Path, tensors: Mapping[str, Tensor], *, like: Path) -> None:
    """Write a file of tensors into a draft, to be read by whoever may read the file `like`.

    Raises:
        ModelFileError: one of them holds a value that is not a finite number.
    """
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    for name, tensor in state.items():
        if not is_finite(tensor):
            raise ModelFileError(
                f"{name} holds a value that is not a finite number",
                code="TS-BUNDLE-015",
                fix="train again with a lower learning rate; such a model is never written.",
            )
    save_file(state, path, metadata={"format": "pt"})
    shutil.copymode(like, path)  # safetensors writes for the owner alone
    sync(path)


def _manifest(model: Model, task: Task, tokenizer: Tokenizer, origin: Origin) -> Manifest:
    """Everything but the digests, which come last."""
    table = task.as_table()
    thresholds = table.get("thresholds")
    return Manifest(
        digest=UNSEALED,
        tunesmith=own_version(),
        name=origin.name,
        task=table,
        labels=tuple(task.label_names),
        thresholds=tuple(float(value) for value in thresholds) if isinstance(thresholds, list) else None,
        tokenizer=TokenizerRecord(max_length=tokenizer.max_length),
        additions=tuple(sorted({type(addition).__name__ for _, addition in additions(model)})),
        base=origin.base,
        data_fingerprint=origin.data_fingerprint,
        evaluation=dict(origin.evaluation),
        licence=origin.licence,
        provenance=dict(origin.provenance),
        files={},
    )


def records(draft: Path, names: Sequence[str]) -> dict[str, FileRecord]:
    """Size and digest of the files of a draft."""
    return {name: FileRecord(size=(draft / name).stat().st_size, sha256=digest(draft / name)) for name in names}


def own_version() -> str:
    """The version that writes."""
    try:
        return version("tunesmith")
    except PackageNotFoundError:  # run from a checkout that was not installed
        return "unknown"


def _write_evidence(draft: Path, written: Bundle, in_memory: Bundle, origin: Origin) -> None:
    """Golden rows and reference, as the files on disk answer, once they are proved to answer as the memory does."""
    task = written.task
    examples = golden.chosen(_readable(origin.golden_examples, task))
    training = in_memory.model.training
    in_memory.model.eval()
    try:
        expected, rows = golden.made(in_memory, examples), golden.made(written, examples)
    finally:
        in_memory.model.train(training)
    for before, after in zip(expected, rows, strict=True):
        if golden.gap(before.logits, after.logits, tolerance=PARITY) > 0:
            raise ModelFileError(
                f"the written model does not answer {before.example.id!r} as the trained one does",
                code="TS-BUNDLE-016",
                fix="this is a bug in tunesmith: please report it with the configuration of the run.",
            )
    write_bytes(draft / GOLDEN, golden.dumped(rows))
    examples = reference.chosen(_readable(origin.reference_examples, task))
    write_bytes(draft / REFERENCE, reference.described(Predictor(written), examples))


def _readable(examples: Sequence[Example], task: Task) -> Sequence[Example]:
    """The examples as they will be asked for: a second text that the task does not read is left out."""
    return examples if reads_pairs(task) else [replace(example, pair=None) for example in examples]


def json_bytes(value: Mapping[str, Any]) -> bytes:
    """A JSON file."""
    return f"{json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False)}\n".encode()


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file into a draft, durably."""
    path.write_bytes(data)  # the whole folder is a draft: it is what appears at once
    sync(path)
