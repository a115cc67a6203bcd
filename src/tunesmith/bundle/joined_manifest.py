"""`bundle.json` of several models over one backbone, and where their files lie.

    bundle.json  config.json  model.safetensors  tokenizer.json  tokenizer_config.json  README.md     the backbone's
    NAME/origin.json              the manifest of the bundle that NAME was, to the byte: task, labels, evaluation
    NAME/additions.safetensors    what was learnt: head, additions, biases, by our names
    NAME/golden.jsonl  NAME/reference.safetensors, and the documents of a search, as they were in that bundle

The backbone's files are a plain model that transformers opens.
"""

import re
from typing import Final, Literal

from pydantic import Field

from tunesmith.bundle.manifest import (
    ADDITIONS,
    CARD,
    CONFIG,
    DOCUMENTS,
    GOLDEN,
    INDEX,
    REFERENCE,
    TOKENIZER,
    TOKENIZER_CONFIG,
    WEIGHTS,
    BaseRecord,
    Closed,
    FileRecord,
    Manifest,
)

ORIGIN: Final = "origin.json"
SHARED: Final = (CONFIG, WEIGHTS, TOKENIZER, TOKENIZER_CONFIG, CARD)
"""The files that belong to all models"""
SCHEMA: Final = 2
NAME: Final = re.compile("[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
"""What an adapter may be called: it is a folder, and a word in requests and metrics"""


class JoinedManifest(Closed):
    """Everything `bundle.json` says where several models share a backbone. Each keeps its own manifest beside it."""

    digest: str = Field(pattern="^sha256:[0-9a-f]{64}$")
    """The sha256 of the file behind its first line: the identity of the bundle."""
    schema_version: Literal[2] = 2
    """2, so that a version that knows single models only says that it is too old."""
    tunesmith: str
    """The version that wrote it."""
    name: str
    """What people call the whole."""
    adapters: tuple[str, ...] = Field(min_length=1)
    """The names by which the models are asked, and of their folders."""
    base: BaseRecord
    """The backbone that all of them share."""
    files: dict[str, FileRecord]
    """Every other file of the bundle, those of a model as `NAME/FILE`."""

    @property
    def sha256(self) -> str:
        """The digest without its prefix."""
        return self.digest.removeprefix("sha256:")

    @property
    def version(self) -> str:
        """Twelve digits of the digest."""
        return self.sha256[:12]

    def contents(self, origins: dict[str, Manifest]) -> tuple[str, ...]:
        """Every file besides the manifest, given what each model's own manifest says."""
        return (*SHARED, *(f"{name}/{file}" for name in self.adapters for file in own_files(origins[name])))


def own_files(origin: Manifest) -> tuple[str, ...]:
    """The files of one model in its folder."""
    return (ORIGIN, ADDITIONS, *kept_files(origin))


def kept_files(origin: Manifest) -> tuple[str, ...]:
    """Those of them that are what they were in the model's own bundle."""
    return (GOLDEN, REFERENCE, *((INDEX, DOCUMENTS) if origin.documents else ()))
