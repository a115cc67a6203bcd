"""Our names of an encoder's tensors and those of transformers, as one reversible table per family.

A row holds for a module and for every parameter below it; `{}` stands for the layer's number. Tables are data: adding
a family that shares our forward pass means adding its rows.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

from tunesmith.core.errors import ModelFileError

Rows = tuple[tuple[str, str], ...]

_BERT_LAYER: Rows = (
    ("embeddings.words", "embeddings.word_embeddings"),
    ("embeddings.positions", "embeddings.position_embeddings"),
    ("embeddings.segments", "embeddings.token_type_embeddings"),
    ("embeddings.norm", "embeddings.LayerNorm"),
    ("embeddings.project", "embeddings_project"),
    ("layers.{}.attention.query", "encoder.layer.{}.attention.self.query"),
    ("layers.{}.attention.key", "encoder.layer.{}.attention.self.key"),
    ("layers.{}.attention.value", "encoder.layer.{}.attention.self.value"),
    ("layers.{}.attention.output", "encoder.layer.{}.attention.output.dense"),
    ("layers.{}.attention_norm", "encoder.layer.{}.attention.output.LayerNorm"),
    ("layers.{}.feed_forward.up", "encoder.layer.{}.intermediate.dense"),
    ("layers.{}.feed_forward.down", "encoder.layer.{}.output.dense"),
    ("layers.{}.feed_forward_norm", "encoder.layer.{}.output.LayerNorm"),
)
_DISTILBERT_LAYER: Rows = (
    ("embeddings.words", "embeddings.word_embeddings"),
    ("embeddings.positions", "embeddings.position_embeddings"),
    ("embeddings.norm", "embeddings.LayerNorm"),
    ("layers.{}.attention.query", "transformer.layer.{}.attention.q_lin"),
    ("layers.{}.attention.key", "transformer.layer.{}.attention.k_lin"),
    ("layers.{}.attention.value", "transformer.layer.{}.attention.v_lin"),
    ("layers.{}.attention.output", "transformer.layer.{}.attention.out_lin"),
    ("layers.{}.attention_norm", "transformer.layer.{}.sa_layer_norm"),
    ("layers.{}.feed_forward.up", "transformer.layer.{}.ffn.lin1"),
    ("layers.{}.feed_forward.down", "transformer.layer.{}.ffn.lin2"),
    ("layers.{}.feed_forward_norm", "transformer.layer.{}.output_layer_norm"),
)
TABLES: Mapping[str, Rows] = {
    "bert": _BERT_LAYER,
    "roberta": _BERT_LAYER,
    "xlm-roberta": _BERT_LAYER,
    "electra": _BERT_LAYER,
    "distilbert": _DISTILBERT_LAYER,
}
"""`model_type` to rows (ours, theirs); names are relative to the encoder."""


def to_hub(name: str, model_type: str) -> str:
    """Their name of our module or parameter, relative to the encoder: `layers.0.attention.query.weight` and the like.

    Raises:
        ModelFileError: no row covers the name.
    """
    return _renamed(name, _patterns(model_type, reverse=False)) or _unknown(name, model_type)


def from_hub(name: str, model_type: str) -> str | None:
    """Our name of their module or parameter (without the family's prefix), or None where no row covers it."""
    return _renamed(name, _patterns(model_type, reverse=True))


def names_of(parameters: Mapping[str, object], model_type: str) -> Iterator[tuple[str, str]]:
    """(ours, theirs) for every name of ours."""
    return ((name, to_hub(name, model_type)) for name in parameters)


def _renamed(name: str, patterns: tuple[tuple[re.Pattern[str], str], ...]) -> str | None:
    for pattern, target in patterns:
        if match := pattern.fullmatch(name):
            return target.format(*match.groups()[:-1]) + match.group("rest")
    return None


@lru_cache(maxsize=16)
def _patterns(model_type: str, *, reverse: bool) -> tuple[tuple[re.Pattern[str], str], ...]:
    rows = TABLES[model_type]
    pairs = [(theirs, ours) if reverse else (ours, theirs) for ours, theirs in rows]
    return tuple(
        (re.compile(re.escape(source).replace(r"\{\}", r"(\d+)") + r"(?P<rest>(?:\..+)?)"), target)
        for source, target in pairs
    )


def _unknown(name: str, model_type: str) -> str:
    raise ModelFileError(
        f"the table of {model_type} has no row for {name}",
        code="TS-MODEL-021",
        fix="merge wrapped modules before saving, or add a row to models/hub_names.py.",
    )
