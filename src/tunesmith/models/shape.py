"""The facts about an encoder that its code depends on, and how they are read from a checkpoint's configuration."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tunesmith.core.errors import ModelFileError, Place

Activation = Literal["gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Sizes and constants of a post-norm encoder of the BERT kind."""

    vocabulary: int
    width: int
    """D"""
    embedding_width: int
    """differs from D only in ELECTRA's smaller sizes"""
    layers: int
    heads: int
    inner: int
    """width of the feed-forward layer"""
    positions: int
    """rows of the position table"""
    position_offset: int = 0
    """the row of a window's first token: RoBERTa leaves padding_idx + 1 rows unused"""
    segments: int = 0
    """rows of the segment table, 0 where there is none"""
    norm_epsilon: float = 1e-12
    activation: Activation = "gelu"
    dropout: float = 0.1
    attention_dropout: float = 0.1
    head_dropout: float = 0.1
    initializer_range: float = 0.02

    def __post_init__(self) -> None:
        """Refuse what no such encoder can have.

        Raises:
            ModelFileError: a size of 0, a width that the heads do not divide, or a table beyond `LARGEST_TABLE`.
        """
        sizes = (self.vocabulary, self.width, self.embedding_width, self.layers, self.heads, self.inner, self.positions)
        if min(sizes) < 1 or self.width % self.heads:
            raise _wrong(
                "hidden size, layers and heads", sizes, "a set of sizes above 0, the width a multiple of the heads"
            )
        if max(self.vocabulary, self.positions, self.inner) * max(self.width, self.embedding_width) > LARGEST_TABLE:
            raise _wrong("vocab_size", self.vocabulary, "a size that fits this width")


LARGEST_TABLE = 2**33
"""Numbers in one matrix: beyond what any published encoder has, yet a damaged file may ask for more."""

HeadKind = Literal["pooler", "dense_tanh", "dense_gelu", "pre_classifier"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What distinguishes one kind of checkpoint from its siblings."""

    model_type: str
    prefix: str
    """what transformers puts before the encoder's tensors in a model with a head"""
    class_name: str
    """how transformers' class names begin: `Bert` as in `BertForTokenClassification`"""
    shape: Callable[[Mapping[str, Any]], Shape]
    dropout_keys: tuple[str, ...]
    """the configuration keys that an override of the dropout replaces"""
    head: HeadKind
    """how transformers builds the sequence-classification head"""
    keys: frozenset[str]
    """configuration keys that are written into a bundle"""


SHARED_KEYS = frozenset(
    (
        "model_type",
        "vocab_size",
        "pad_token_id",
        "bos_token_id",
        "eos_token_id",
        "initializer_range",
        "max_position_embeddings",
        "tie_word_embeddings",
    )
)


def whole(config: Mapping[str, Any], key: str, default: int) -> int:
    """A whole number that is at least 0.

    Raises:
        ModelFileError: the configuration holds something else there.
    """
    value = config.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
        raise _wrong(key, value, "a whole number")
    return value


def number(config: Mapping[str, Any], key: str, default: float) -> float:
    """A number; `null` counts as absent.

    Raises:
        ModelFileError: the configuration holds something else there.
    """
    value = config.get(key)
    value = default if value is None else value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(key, value, "a number")
    return float(value)


def activation(config: Mapping[str, Any], key: str) -> Activation:
    """The name of a known activation.

    Raises:
        ModelFileError: it is not one of ours.
    """
    value = config.get(key, "gelu")
    match value:
        case "gelu" | "gelu_new" | "gelu_pytorch_tanh" | "relu" | "silu":
            return value  # type: ignore[no-any-return]  # the match proved it
        case _:
            raise _wrong(key, value, "one of gelu, gelu_new, gelu_pytorch_tanh, relu, silu")


def _wrong(key: str, value: object, wanted: str) -> ModelFileError:
    return ModelFileError(
        f"{str(value)[:80]!r} is not {wanted}",
        code="TS-MODEL-020",
        place=Place(file="config.json", key=key),
        fix="use a config.json as transformers writes it.",
    )
