"""Turning a GGUF file of llama.cpp into a checkpoint folder, once: weights in fp16, tokenizer and chat template.

The folder lies in the user's cache. The file is data: nothing in it is run, and its chat template only in a sandbox.
What was lost when the file was quantised stays lost; vectors (norms, biases) are kept in fp32.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from tunesmith.models.gguf_container import GgufFile
from tunesmith.models.gguf_names import NAMES, rows_of_halves
from tunesmith.models.gguf_tokenizer import token_named, tokenizer_json
from tunesmith.models.made_once import cache_folder, made_once

_REVISION = 1  # of this conversion: a change of its output must not meet an older folder
_FACTORS = "rope_freqs.weight"
_LOW, _HIGH, _LENGTH = 1.0, 4.0, 8192
"""How Llama 3.1 and 3.2 slow frequencies; their files store nothing but the factors that follow"""
_ROLES = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}


def converted(file: Path) -> Path:
    """The checkpoint folder for a GGUF file, made on first use and kept under the file's sha256.

    Raises:
        StorageError: the cache cannot be written.
        ModelFileError: the file is damaged, of an unknown architecture or tokenizer, or holds an unknown tensor.
        MissingExtraError: the package gguf is not installed.
    """
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    target = cache_folder() / "gguf" / f"{digest[:32]}-{_REVISION}"
    room = 6 * file.stat().st_size
    return made_once(target, lambda folder: _write(file, folder, digest), what="the GGUF file", room=room)


def _write(file: Path, folder: Path, digest: str) -> None:
    opened = GgufFile(file)
    try:
        config = config_of(opened)
        (folder / "tokenizer.json").write_text(tokenizer_json(opened.values), encoding="utf-8")
        tensors = _tensors(opened, config)
    except (ValueError, TypeError) as error:
        raise opened.damaged(str(error)) from None
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    licence = opened.values.get("general.license")
    origin = {
        "file": file.name,
        "model": opened.values.get("general.name"),
        "licence": licence,
        "sha256": digest,
        "change": "weights dequantised to fp16; configuration and tokenizer rebuilt from the file",
    }
    _json(folder / "origin.json", origin)
    _json(folder / "config.json", config)
    _json(folder / "tokenizer_config.json", _tokenizer_config(opened.values))
    if isinstance(licence, str):
        (folder / "README.md").write_text(f"---\nlicense: {licence}\n---\n", encoding="utf-8")


def config_of(opened: GgufFile) -> dict[str, Any]:
    """The configuration as transformers writes it.

    Raises:
        ValueError: an unknown architecture, or a size that is missing.
    """
    kind = opened.values.get("general.architecture")
    if kind not in NAMES:
        raise ValueError(f"its architecture is {str(kind)[:40]!r}, not one of {', '.join(NAMES)}")
    sizes = _Sizes(opened.values, str(kind))
    vocabulary = len(opened.values.get("tokenizer.ggml.tokens", ()))
    if "token_embd.weight" in opened.tensors:
        vocabulary = opened.tensors["token_embd.weight"].shape[0]  # may have rows that no token has
    ends = {f"{role}_token_id": opened.values.get(f"tokenizer.ggml.{role}_token_id") for role in ("bos", "eos")}
    shared = {"model_type": kind, "vocab_size": vocabulary, "dtype": "float32", **ends}
    if kind == "gpt2":
        return shared | {
            "architectures": ["GPT2LMHeadModel"],
            "n_layer": sizes.whole("block_count"),
            "n_embd": sizes.whole("embedding_length"),
            "n_head": sizes.whole("attention.head_count"),
            "n_inner": sizes.whole("feed_forward_length"),
            "n_positions": sizes.whole("context_length"),
            "layer_norm_epsilon": sizes.number("attention.layer_norm_epsilon"),
        }
    heads, width = sizes.whole("attention.head_count"), sizes.whole("embedding_length")
    size = sizes.whole("attention.key_length", width // max(heads, 1))
    if sizes.whole("rope.dimension_count", size) != size:
        raise ValueError("only a part of each head carries positions, which is not supported")
    return shared | {
        "architectures": [f"{str(kind).capitalize()}ForCausalLM"],
        "num_hidden_layers": sizes.whole("block_count"),
        "hidden_size": width,
        "intermediate_size": sizes.whole("feed_forward_length"),
        "num_attention_heads": heads,
        "num_key_value_heads": sizes.whole("attention.head_count_kv", heads),
        "head_dim": size,
        "max_position_embeddings": sizes.whole("context_length"),
        "rms_norm_eps": sizes.number("attention.layer_norm_rms_epsilon"),
        "rope_parameters": _rotary(opened, sizes, size),
        "hidden_act": "silu",
        "attention_bias": kind == "llama" and "blk.0.attn_q.bias" in opened.tensors,
        "tie_word_embeddings": "output.weight" not in opened.tensors,
    }


class _Sizes:
    """The values of one architecture."""

    def __init__(self, values: Mapping[str, Any], kind: str) -> None:
        self.values, self.kind = values, kind

    def whole(self, key: str, default: int | None = None) -> int:
        value = self.values.get(f"{self.kind}.{key}", default)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{self.kind}.{key} is no whole number above 0")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        value = self.values.get(f"{self.kind}.{key}", default)
        if not isinstance(value, int | float) or not 0 < value < float("inf"):
            raise ValueError(f"{self.kind}.{key} is no number above 0")
        return float(f"{value:.7g}")  # 1e-05 was stored in fp32 as 9.999999747378752e-06


def _rotary(opened: GgufFile, sizes: _Sizes, size: int) -> dict[str, Any]:
    """`rope_parameters`. Llama 3.1 and later are known by the factors of their frequencies, which the file stores."""
    theta = sizes.number("rope.freq_base", 10000.0)
    scaling = str(sizes.values.get(f"{sizes.kind}.rope.scaling.type", "none"))
    if scaling not in ("none", "linear"):
        raise ValueError(f"its positions are scaled in the way {scaling[:40]!r}, which is not supported")
    if scaling == "linear":
        return {"rope_type": "linear", "rope_theta": theta, "factor": sizes.number("rope.scaling.factor")}
    if _FACTORS not in opened.tensors:
        return {"rope_type": "default", "rope_theta": theta}
    factors = opened.tensor(_FACTORS)
    turns = _LENGTH / (2 * np.pi) * theta ** -(np.arange(0, size, 2) / size)
    share = np.clip((turns - _LOW) / (_HIGH - _LOW), 0, 1)
    if factors.shape != share.shape or not np.allclose(1 / factors, share + (1 - share) / factors.max(), rtol=1e-3):
        raise ValueError("its frequencies are slowed in a way that is not that of Llama 3")
    return {
        "rope_type": "llama3",
        "rope_theta": theta,
        "factor": float(factors.max()),
        "low_freq_factor": _LOW,
        "high_freq_factor": _HIGH,
        "original_max_position_embeddings": _LENGTH,
    }


def _tensors(opened: GgufFile, config: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Every tensor under transformers' name: matrices in fp16, vectors in fp32."""
    kind = str(config["model_type"])
    names, own = NAMES[kind], {}
    for name in opened.tensors:
        hub, part = names.hub(name), name.split(".")[-2] if "." in name else ""
        if name == _FACTORS or (kind == "gpt2" and name == "output.weight"):  # read already; its word embeddings again
            continue
        if hub is None:
            raise ValueError(f"the tensor {name[:80]!r} has no place in a model of this kind")
        tensor = opened.tensor(name)
        if part in names.halves:
            heads = int(config["num_attention_heads" if part == "attn_q" else "num_key_value_heads"])
            if len(tensor) % (2 * heads):
                raise ValueError(f"the tensor {name} has {len(tensor)} rows for {heads} heads")
            tensor = rows_of_halves(tensor, heads)
        if part in names.turned and tensor.ndim == 2:
            tensor = tensor.T
        with np.errstate(over="ignore"):
            stored = np.ascontiguousarray(tensor, np.float32 if tensor.ndim == 1 else np.float16)
        if not np.isfinite(stored).all():
            raise ValueError(f"the tensor {name} holds a value that is not finite in fp16")
        own[hub] = stored
    return own


def _tokenizer_config(values: Mapping[str, Any]) -> dict[str, Any]:
    named = {name: token_named(values, role) for name, role in _ROLES.items()}
    template = values.get("tokenizer.chat_template")
    table = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    more = {"chat_template": template} if isinstance(template, str) else {}
    return table | {name: token for name, token in named.items() if token is not None} | more


def _json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
