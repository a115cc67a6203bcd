"""BERT (Devlin et al. 2019): learnt positions from 0, two segments, a pooler under the classification head."""

from collections.abc import Mapping
from typing import Any

from tunesmith.models.shape import SHARED_KEYS, Family, Shape, activation, number, whole

BERT_KEYS = SHARED_KEYS | frozenset(
    (
        "attention_probs_dropout_prob",
        "classifier_dropout",
        "hidden_act",
        "hidden_dropout_prob",
        "hidden_size",
        "intermediate_size",
        "layer_norm_eps",
        "num_attention_heads",
        "num_hidden_layers",
        "type_vocab_size",
    )
)
BERT_DROPOUT_KEYS = ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout")


def bert_shape(config: Mapping[str, Any]) -> Shape:
    """The facts under BERT's key names, with the defaults of transformers."""
    hidden_dropout = number(config, "hidden_dropout_prob", 0.1)
    width = whole(config, "hidden_size", 768)
    return Shape(
        vocabulary=whole(config, "vocab_size", 30522),
        width=width,
        embedding_width=width,
        layers=whole(config, "num_hidden_layers", 12),
        heads=whole(config, "num_attention_heads", 12),
        inner=whole(config, "intermediate_size", 3072),
        positions=whole(config, "max_position_embeddings", 512),
        segments=whole(config, "type_vocab_size", 2),
        norm_epsilon=number(config, "layer_norm_eps", 1e-12),
        activation=activation(config, "hidden_act"),
        dropout=hidden_dropout,
        attention_dropout=number(config, "attention_probs_dropout_prob", 0.1),
        head_dropout=number(config, "classifier_dropout", hidden_dropout),
        initializer_range=number(config, "initializer_range", 0.02),
    )


FAMILY = Family(
    model_type="bert",
    prefix="bert",
    class_name="Bert",
    shape=bert_shape,
    dropout_keys=BERT_DROPOUT_KEYS,
    head="pooler",
    keys=BERT_KEYS,
)
