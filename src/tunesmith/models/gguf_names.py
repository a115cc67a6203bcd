"""Names and layout of tensors in GGUF files, and those of transformers: tables that read both ways.

llama.cpp turns neighbouring pairs of a head where transformers turns its halves, so the rows of query and key are
stored in another order (`rows_of_halves` undoes it); that holds for Llama and Mistral, not for Qwen2.
"""

import re
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Rows = tuple[tuple[str, str], ...]

_LLAMA: Final[Rows] = (
    ("token_embd", "model.embed_tokens"),
    ("output_norm", "model.norm"),
    ("output", "lm_head"),
    ("blk.{}.attn_norm", "model.layers.{}.input_layernorm"),
    ("blk.{}.attn_q", "model.layers.{}.self_attn.q_proj"),
    ("blk.{}.attn_k", "model.layers.{}.self_attn.k_proj"),
    ("blk.{}.attn_v", "model.layers.{}.self_attn.v_proj"),
    ("blk.{}.attn_output", "model.layers.{}.self_attn.o_proj"),
    ("blk.{}.ffn_norm", "model.layers.{}.post_attention_layernorm"),
    ("blk.{}.ffn_gate", "model.layers.{}.mlp.gate_proj"),
    ("blk.{}.ffn_up", "model.layers.{}.mlp.up_proj"),
    ("blk.{}.ffn_down", "model.layers.{}.mlp.down_proj"),
)
_GPT2: Final[Rows] = (
    ("token_embd", "transformer.wte"),
    ("position_embd", "transformer.wpe"),
    ("output_norm", "transformer.ln_f"),
    ("output", "lm_head"),
    ("blk.{}.attn_norm", "transformer.h.{}.ln_1"),
    ("blk.{}.attn_qkv", "transformer.h.{}.attn.c_attn"),
    ("blk.{}.attn_output", "transformer.h.{}.attn.c_proj"),
    ("blk.{}.ffn_norm", "transformer.h.{}.ln_2"),
    ("blk.{}.ffn_up", "transformer.h.{}.mlp.c_fc"),
    ("blk.{}.ffn_down", "transformer.h.{}.mlp.c_proj"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufNames:
    """How the files of one architecture name and lay out what a model consists of."""

    rows: Rows
    """their name and that of transformers; `{}` is the layer's number"""
    halves: tuple[str, ...] = ()
    """whose rows are stored pair by pair"""
    turned: tuple[str, ...] = ()
    """whose matrices transformers holds the other way round"""

    def hub(self, name: str) -> str | None:
        """transformers' name of a tensor of the file, None where no row covers it."""
        return _renamed(name, {ours: theirs for ours, theirs in self.rows})

    def gguf(self, name: str) -> str | None:
        """The inverse of `hub`."""
        return _renamed(name, {theirs: ours for ours, theirs in self.rows})


NAMES: Final = {
    "llama": GgufNames(rows=_LLAMA, halves=("attn_q", "attn_k")),
    "qwen2": GgufNames(rows=_LLAMA),
    "gpt2": GgufNames(rows=_GPT2, turned=("attn_qkv", "attn_output", "ffn_up", "ffn_down")),
}
"""`general.architecture` to names. A Mistral calls itself llama."""


def rows_of_halves(tensor: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """The rows of each head from pair by pair (0, d/2, 1, d/2 + 1, ...) to half by half, [heads d] or [heads d, D]."""
    pairs = tensor.reshape(heads, len(tensor) // heads // 2, 2, *tensor.shape[1:])
    return pairs.swapaxes(1, 2).reshape(tensor.shape)


def rows_of_pairs(tensor: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """The inverse of `rows_of_halves`."""
    halves = tensor.reshape(heads, 2, len(tensor) // heads // 2, *tensor.shape[1:])
    return halves.swapaxes(1, 2).reshape(tensor.shape)


def _renamed(name: str, table: dict[str, str]) -> str | None:
    found = re.fullmatch(r"(.+)\.(weight|bias)", name)
    if found is None:
        return None
    module, kind = found.groups()
    number = re.search(r"\.(0|[1-9]\d{0,3})\.", module)
    pattern = module if number is None else f"{module[: number.start(1)]}{{}}{module[number.end(1) :]}"
    other = table.get(pattern)
    return None if other is None else f"{other.format(number[1] if number else '')}.{kind}"
