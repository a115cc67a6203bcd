"""GPT-2 (Radford et al. 2019): learnt positions, LayerNorm, no gate.

Its files hold query, key and value as one matrix, and every matrix transposed: here each layer has its own.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from tunesmith.models.decoder_shape import DecoderFamily, DecoderShape, State, refusal
from tunesmith.models.shape import SHARED_KEYS, activation, number, whole

_PARTS = ("query", "key", "value")
_FUSED = re.compile(r"(.*h\.\d+\.attn\.c_attn)\.(weight|bias)")
_PART = re.compile(r"(.*h\.\d+\.attn\.c_attn)\.(query|key|value)\.(weight|bias)")
_TURNED = re.compile(r".*h\.\d+\.(?:attn\.c_proj|mlp\.c_fc|mlp\.c_proj)\.weight")
_MASK = re.compile(r".*h\.\d+\.attn\.(?:bias|masked_bias)")
_PLAIN: Mapping[str, tuple[object, ...]] = {
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "reorder_and_upcast_attn": (False, True),
    "add_cross_attention": (False,),
}


def gpt2_shape(config: Mapping[str, Any]) -> DecoderShape:
    """The facts under GPT-2's key names, with the defaults of transformers."""
    for key, meant in _PLAIN.items():
        if config.get(key, meant[0]) not in meant:
            raise refusal(key, config[key], " or ".join(map(repr, meant)))
    width, heads = whole(config, "n_embd", 768), whole(config, "n_head", 12)
    inner = config.get("n_inner")
    return DecoderShape(
        vocabulary=whole(config, "vocab_size", 50257),
        width=width,
        layers=whole(config, "n_layer", 12),
        heads=heads,
        shared_heads=heads,
        head_size=width // max(1, heads),
        inner=4 * width if inner is None else whole(config, "n_inner", 0),
        positions=whole(config, "n_positions", 1024),
        rotary=None,
        gated=False,
        root_mean_square=False,
        norm_epsilon=number(config, "layer_norm_epsilon", 1e-5),
        activation=activation({"activation": config.get("activation_function", "gelu_new")}, "activation"),
        attention_biases=(True, True),
        inner_bias=True,
        dropout=number(config, "resid_pdrop", 0.1),
        embedding_dropout=number(config, "embd_pdrop", 0.1),
        attention_dropout=number(config, "attn_pdrop", 0.1),
        initializer_range=number(config, "initializer_range", 0.02),
        tied=config.get("tie_word_embeddings", True) is True,
    )


def unpacked(tensors: Mapping[str, Tensor]) -> State:
    """Tensors of a file with query, key and value apart and matrices turned; causal masks are left out."""
    own: State = {}
    for name, tensor in tensors.items():
        if fused := _FUSED.fullmatch(name):
            parts = (tensor.T if tensor.ndim == 2 else tensor).chunk(3)
            own |= {f"{fused[1]}.{part}.{fused[2]}": p.contiguous() for part, p in zip(_PARTS, parts, strict=True)}
        elif not _MASK.fullmatch(name):
            own[name] = tensor.T.contiguous() if _TURNED.fullmatch(name) else tensor
    return own


def packed(tensors: Mapping[str, Tensor]) -> State:
    """The inverse of `unpacked`."""
    own: State = {}
    for name, tensor in tensors.items():
        part = _PART.fullmatch(name)
        if part is None:
            own[name] = tensor.T.contiguous() if _TURNED.fullmatch(name) else tensor
        elif part[2] == "query":
            whole_one = torch.cat([tensors[f"{part[1]}.{each}.{part[3]}"] for each in _PARTS])
            own[f"{part[1]}.{part[3]}"] = whole_one.T.contiguous() if part[3] == "weight" else whole_one
    return own


FAMILY = DecoderFamily(
    model_type="gpt2",
    prefix="transformer",
    class_name="GPT2",
    shape=gpt2_shape,
    dropout_keys=("resid_pdrop", "embd_pdrop", "attn_pdrop"),
    token_head="classifier",  # a name of layers
    keys=SHARED_KEYS
    | frozenset(
        (
            "activation_function",
            "attn_pdrop",
            "embd_pdrop",
            "layer_norm_epsilon",
            "n_embd",
            "n_head",
            "n_inner",
            "n_layer",
            "n_positions",
            "resid_pdrop",
        )
    ),
    unpacked=unpacked,
    packed=packed,
    fused=_PARTS,
)
