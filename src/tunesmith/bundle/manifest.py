"""`bundle.json`: what a bundle is, what it answers, where it came from, and the digest of every file beside it.

The first line of the file holds the sha256 of everything behind that line, so that the manifest vouches for itself:
a changed byte anywhere, here included, is found and named.
"""

import hashlib
import json
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

MANIFEST: Final = "bundle.json"
WEIGHTS: Final = "model.safetensors"
BACKBONE: Final = "backbone.safetensors"
"""The weights where they are not the whole model: transformers would open them under their usual name, and be wrong"""
ADDITIONS: Final = "additions.safetensors"
TOKENIZER: Final = "tokenizer.json"
TOKENIZER_CONFIG: Final = "tokenizer_config.json"
CONFIG: Final = "config.json"
GOLDEN: Final = "golden.jsonl"
REFERENCE: Final = "reference.safetensors"
CARD: Final = "README.md"
INDEX: Final = "index.safetensors"
DOCUMENTS: Final = "documents.jsonl"
"""What a search answers with, where the task ranks documents"""

_BESIDE: Final = (CONFIG, TOKENIZER, TOKENIZER_CONFIG, GOLDEN, REFERENCE, CARD)
CONTENTS: Final = (WEIGHTS, *_BESIDE)
"""Every file of a bundle besides the manifest. Nothing else is ever read from it, and nothing else may lie there."""
CONTENTS_WITH_ADDITIONS: Final = (BACKBONE, ADDITIONS, *_BESIDE)
"""The same where something stands around the layers of the backbone."""

_OPENING: Final = b'{"digest": "sha256:'
_CLOSING: Final = b'",\n'
_HEADER: Final = len(_OPENING) + 64 + len(_CLOSING)


class Closed(BaseModel):
    """A part of a manifest: nothing is converted, and nothing unknown is taken."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class FileRecord(Closed):
    """The size in bytes and the sha256 of one file."""

    size: int = Field(ge=0)
    """Bytes."""
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    """Lower-case hexadecimal."""


class TokenizerRecord(Closed):
    """How texts become tokens."""

    max_length: int = Field(ge=3, le=1_000_000)
    """The longest window in tokens, special tokens included."""
    encode_special_tokens: Literal[True] = True
    """A control token typed by a user stays text. There is no other way to run a bundle."""


class BaseRecord(Closed):
    """The pretrained checkpoint that training began with."""

    name: str
    """`starter:english`, a folder or a Hub name."""
    fingerprint: str
    """sha256 of its weights."""
    licence: str | None = None
    """As its own files state it; None where they do not."""


class Manifest(Closed):
    """Everything `bundle.json` says."""

    digest: str = Field(pattern="^sha256:[0-9a-f]{64}$")
    """The sha256 of the file behind its first line: the identity of the bundle."""
    schema_version: Literal[1] = 1
    """Changes when a reader of today could misread the file."""
    tunesmith: str
    """The version that wrote it."""
    name: str
    """What people call the model."""
    task: dict[str, Any]
    """The task as its configuration table: kind, labels, scheme, thresholds."""
    labels: tuple[str, ...]
    """Class names in logit order; empty for a score."""
    thresholds: tuple[float, ...] | None = None
    """The probability from which each label counts, where several may hold."""
    tokenizer: TokenizerRecord
    """How texts become tokens."""
    additions: tuple[str, ...] = ()
    """What stands around the layers of the backbone and cannot be folded into them: Bottleneck, PrefixedCore,
    PromptRows. Where it is empty, the weights are a plain model that transformers opens."""
    documents: int = Field(default=0, ge=0)
    """How many documents are searched; 0 where the task ranks none."""
    base: BaseRecord
    """What training began with."""
    data_fingerprint: str
    """sha256 of the training examples."""
    evaluation: dict[str, Any]
    """Splits with metrics, intervals and baselines, as `report.json` has them."""
    licence: str | None = None
    """The licence of the data; None where nobody stated one."""
    provenance: dict[str, Any]
    """How the model came about: configuration, seed, machine, commit."""
    files: dict[str, FileRecord]
    """Every other file of the bundle."""

    @property
    def weights(self) -> str:
        """The file of the backbone and the head."""
        return BACKBONE if self.additions else WEIGHTS

    @property
    def contents(self) -> tuple[str, ...]:
        """Every file besides the manifest."""
        own = CONTENTS_WITH_ADDITIONS if self.additions else CONTENTS
        return (*own, INDEX, DOCUMENTS) if self.documents else own

    @property
    def reads_pairs(self) -> bool:
        """Whether a question consists of two texts."""
        kind = self.task["kind"]
        return kind in ("pair_matching", "extractive_qa") or (kind == "retrieval" and not self.documents)

    @property
    def sha256(self) -> str:
        """The digest without its prefix."""
        return self.digest.removeprefix("sha256:")

    @property
    def version(self) -> str:
        """Twelve digits of the digest: short enough to read out, long enough to tell bundles apart."""
        return self.sha256[:12]


def sealed(fields: dict[str, Any]) -> bytes:
    """`bundle.json` with its own digest in the first line. `fields` is the manifest without `digest`."""
    body = json.dumps(fields, ensure_ascii=False, indent=1, allow_nan=False).encode()
    rest = body[1:].lstrip(b"\n") + b"\n"
    return _OPENING + hashlib.sha256(rest).hexdigest().encode() + _CLOSING + rest


def seal_holds(data: bytes) -> bool:
    """Whether the first line of `bundle.json` is the digest of what follows it."""
    if not (data.startswith(_OPENING) and data[_HEADER - len(_CLOSING) : _HEADER] == _CLOSING):
        return False
    claimed = data[len(_OPENING) : _HEADER - len(_CLOSING)]
    return claimed == hashlib.sha256(data[_HEADER:]).hexdigest().encode()
