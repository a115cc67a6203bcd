"""ELECTRA (Clark et al. 2020): BERT's encoder, with embeddings that may be narrower and are then projected."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tunesmith.models.bert import BERT_DROPOUT_KEYS, BERT_KEYS, bert_shape
from tunesmith.models.shape import Family, Shape, whole


def electra_shape(config: Mapping[str, Any]) -> Shape:
    """BERT's facts under the defaults of ELECTRA-small."""
    defaults = {"hidden_size": 256, "num_attention_heads": 4, "intermediate_size": 1024}
    shape = bert_shape(defaults | dict(config))
    return replace(shape, embedding_width=whole(config, "embedding_size", 128))


FAMILY = Family(
    model_type="electra",
    prefix="electra",
    class_name="Electra",
    shape=electra_shape,
    dropout_keys=BERT_DROPOUT_KEYS,
    head="dense_gelu",
    keys=BERT_KEYS | {"embedding_size"},
)
