"""Llama (Touvron et al. 2023) and its kin, Mistral, Qwen2 and Qwen3: rotary positions, RMSNorm, a gate."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from tunesmith.models.decoder_shape import DecoderFamily, DecoderShape, Rotary, refusal
from tunesmith.models.shape import SHARED_KEYS, activation, number, whole

_KEYS = SHARED_KEYS | frozenset(
    (
        "attention_bias",
        "attention_dropout",
        "head_dim",
        "hidden_act",
        "hidden_size",
        "intermediate_size",
        "mlp_bias",
        "num_attention_heads",
        "num_hidden_layers",
        "num_key_value_heads",
        "rms_norm_eps",
        "rope_parameters",
        "rope_scaling",
        "rope_theta",
    )
)


def llama_shape(config: Mapping[str, Any]) -> DecoderShape:
    """The facts under Llama's key names, with the defaults of transformers."""
    has_bias = bool(config.get("attention_bias", False))
    return _shape(config, biases=(has_bias, has_bias))


def mistral_shape(config: Mapping[str, Any]) -> DecoderShape:
    """The same without biases; a window is at most as long as its sliding attention reaches, where both are one."""
    return _shape(config, biases=(False, False))


def qwen2_shape(config: Mapping[str, Any]) -> DecoderShape:
    """The same with biases at query, key and value."""
    if config.get("use_sliding_window"):
        raise refusal("use_sliding_window", True, "false")
    return _shape(config, biases=(True, False))


def qwen3_shape(config: Mapping[str, Any]) -> DecoderShape:
    """That of Llama with heads of a given size, whose queries and keys are normalised."""
    if config.get("use_sliding_window"):
        raise refusal("use_sliding_window", True, "false")
    return replace(llama_shape({"head_dim": 128} | dict(config) | {"sliding_window": None}), head_norms=True)


def _shape(config: Mapping[str, Any], *, biases: tuple[bool, bool]) -> DecoderShape:
    width, heads = whole(config, "hidden_size", 4096), whole(config, "num_attention_heads", 32)
    shared, size, sliding = (config.get(key) for key in ("num_key_value_heads", "head_dim", "sliding_window"))
    positions = whole(config, "max_position_embeddings", 2048)
    return DecoderShape(
        vocabulary=whole(config, "vocab_size", 32000),
        width=width,
        layers=whole(config, "num_hidden_layers", 32),
        heads=heads,
        shared_heads=heads if shared is None else whole(config, "num_key_value_heads", 0),
        head_size=width // max(1, heads) if size is None else whole(config, "head_dim", 0),
        inner=whole(config, "intermediate_size", 11008),
        positions=positions if sliding is None else min(positions, whole(config, "sliding_window", 0)),
        rotary=_rotary(config),
        gated=True,
        root_mean_square=True,
        norm_epsilon=number(config, "rms_norm_eps", 1e-6),
        activation=activation({"activation": config.get("hidden_act", "silu")}, "activation"),
        attention_biases=biases,
        inner_bias=bool(config.get("mlp_bias", False)),
        dropout=0.0,
        embedding_dropout=0.0,
        attention_dropout=number(config, "attention_dropout", 0.0),
        initializer_range=number(config, "initializer_range", 0.02),
        tied=config.get("tie_word_embeddings", False) is True,
    )


def _rotary(config: Mapping[str, Any]) -> Rotary:
    """From `rope_parameters`, or from `rope_theta` and `rope_scaling` as transformers wrote them before."""
    given = dict(config.get("rope_scaling") or {}) | dict(config.get("rope_parameters") or {})
    theta = number(given, "rope_theta", number(config, "rope_theta", 10000.0))
    kind = given.get("rope_type", given.get("type", "default"))
    match kind:
        case "default" | "linear":
            return Rotary(theta, factor=number(given, "factor", 1.0), kind=kind)
        case "llama3":
            return Rotary(
                theta,
                factor=number(given, "factor", 8.0),
                kind="llama3",
                low=number(given, "low_freq_factor", 1.0),
                high=number(given, "high_freq_factor", 4.0),
                length=whole(given, "original_max_position_embeddings", 8192),
            )
        case _:
            raise refusal("rope_type", kind, "one of default, linear, llama3")


def _family(
    model_type: str,
    class_name: str,
    shape: Callable[[Mapping[str, Any]], DecoderShape],
    more: frozenset[str] = frozenset(),
) -> DecoderFamily:
    return DecoderFamily(
        model_type=model_type,
        prefix="model",
        class_name=class_name,
        shape=shape,
        dropout_keys=("attention_dropout",),
        token_head="score",  # a name of layers
        keys=_KEYS | more,
    )


FAMILY = _family("llama", "Llama", llama_shape)
MISTRAL_FAMILY = _family("mistral", "Mistral", mistral_shape, frozenset(("sliding_window",)))
QWEN2_FAMILY = _family("qwen2", "Qwen2", qwen2_shape, frozenset(("use_sliding_window", "sliding_window")))
QWEN3_FAMILY = _family("qwen3", "Qwen3", qwen3_shape, frozenset(("use_sliding_window",)))
