"""The facts about a decoder that its code depends on, and how they are read from a checkpoint's configuration."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from tunesmith.core.errors import ModelFileError, Place
from tunesmith.models.shape import LARGEST_TABLE, Activation

State = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Rotary:
    """Angles by which queries and keys are turned, so that their product depends on how far they are apart.

    angle of pair i at position p = p * theta^(-2 i / d)
    Source: Su et al. 2021, RoFormer. `llama3` slows down what turns rarely, as Llama 3.1 does for long texts.
    """

    theta: float
    factor: float = 1.0
    """How much longer texts may be than those of pretraining"""
    kind: Literal["default", "linear", "llama3"] = "default"
    low: float = 1.0
    high: float = 4.0
    """Turns over a text of pretraining below and above which `llama3` slows wholly down, or not at all"""
    length: int = 8192
    """Tokens of a text of pretraining"""

    def frequencies(self, size: int) -> Tensor:
        """[d / 2] radians a position, for heads of `size` d."""
        plain = 1.0 / self.theta ** (torch.arange(0, size, 2, dtype=torch.float32) / size)
        if self.kind == "default":
            return plain
        if self.kind == "linear":
            return plain / self.factor
        turns = self.length * plain / (2 * math.pi)
        share = ((turns - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
        return plain * (share + (1 - share) / self.factor)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderShape:
    """Sizes and constants of a pre-norm decoder."""

    vocabulary: int
    width: int
    """D"""
    layers: int
    heads: int
    shared_heads: int
    """heads of keys and values, of which each serves heads / shared_heads queries"""
    head_size: int
    """d"""
    inner: int
    """width of the feed-forward layer"""
    positions: int
    """the longest window"""
    rotary: Rotary | None
    """None where positions are a table"""
    gated: bool
    """whether the feed-forward part has a gate (Shazeer 2020, GLU Variants)"""
    root_mean_square: bool
    """RMSNorm instead of LayerNorm"""
    norm_epsilon: float
    activation: Activation
    attention_biases: tuple[bool, bool]
    """of query, key and value; of the output"""
    inner_bias: bool
    dropout: float
    embedding_dropout: float
    attention_dropout: float
    initializer_range: float
    tied: bool
    """whether the table of words is the language head too"""
    head_norms: bool = False
    """whether each head of query and key is normalised before it is turned (Henry et al. 2020, QKNorm)"""

    def __post_init__(self) -> None:
        """Refuse what no such decoder can have.

        Raises:
            ModelFileError: a size of 0, heads that do not divide, or a table beyond what there is.
        """
        sizes = (self.vocabulary, self.width, self.layers, self.heads, self.shared_heads, self.head_size, self.inner)
        divides = self.shared_heads and self.heads % self.shared_heads == 0
        if min(*sizes, self.positions) < 1 or not divides or (self.rotary and self.head_size % 2):
            raise refusal("sizes and heads", sizes, "a set of sizes above 0 that the heads divide")
        if max(self.vocabulary, self.inner) * self.width > LARGEST_TABLE:
            raise refusal("vocab_size", self.vocabulary, "a size that fits this width")


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderFamily:
    """What distinguishes one kind of decoder from its siblings."""

    model_type: str
    prefix: str
    """what transformers puts before the decoder's tensors in a model with a head"""
    class_name: str
    shape: Callable[[Mapping[str, Any]], DecoderShape]
    dropout_keys: tuple[str, ...]
    token_head: Literal["classifier", "score"]
    """how transformers names the head for tokens"""
    keys: frozenset[str]
    """configuration keys that are written into a bundle"""
    unpacked: Callable[[Mapping[str, Tensor]], State] = dict
    """tensors of a file, one for each of our layers"""
    packed: Callable[[Mapping[str, Tensor]], State] = dict
    """its inverse"""
    fused: tuple[str, ...] = ()
    """what a layer of the file holds as one, in its order: `NAME.query` for us is a part of `NAME` there"""


def refusal(key: str, value: object, wanted: str) -> ModelFileError:
    """The error of a configuration that is none of ours."""
    return ModelFileError(
        f"{str(value)[:80]!r} is not {wanted}",
        code="TS-MODEL-020",
        place=Place(file="config.json", key=key),
        fix="use a config.json as transformers writes it.",
    )
