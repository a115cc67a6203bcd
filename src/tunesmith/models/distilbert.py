"""DistilBERT (Sanh et al. 2019): BERT without segments and pooler, under key names of its own."""

from collections.abc import Mapping
from typing import Any

from tunesmith.models.shape import SHARED_KEYS, Family, Shape, activation, number, whole


def distilbert_shape(config: Mapping[str, Any]) -> Shape:
    """The facts under DistilBERT's key names; its norms use 1e-12 whatever the configuration says."""
    width = whole(config, "dim", 768)
    hidden_dropout = number(config, "dropout", 0.1)
    return Shape(
        vocabulary=whole(config, "vocab_size", 30522),
        width=width,
        embedding_width=width,
        layers=whole(config, "n_layers", 6),
        heads=whole(config, "n_heads", 12),
        inner=whole(config, "hidden_dim", 3072),
        positions=whole(config, "max_position_embeddings", 512),
        activation=activation(config, "activation"),
        dropout=hidden_dropout,
        attention_dropout=number(config, "attention_dropout", 0.1),
        head_dropout=number(config, "seq_classif_dropout", 0.2),
        initializer_range=number(config, "initializer_range", 0.02),
    )


FAMILY = Family(
    model_type="distilbert",
    prefix="distilbert",
    class_name="DistilBert",
    shape=distilbert_shape,
    dropout_keys=("dropout", "attention_dropout", "seq_classif_dropout"),
    head="pre_classifier",
    keys=SHARED_KEYS
    | frozenset(
        (
            "activation",
            "attention_dropout",
            "dim",
            "dropout",
            "hidden_dim",
            "n_heads",
            "n_layers",
            "seq_classif_dropout",
            "sinusoidal_pos_embds",
        )
    ),
)
