"""RoBERTa (Liu et al. 2019) and XLM-R (Conneau et al. 2020): BERT with positions counted from padding_idx + 1."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tunesmith.models.bert import BERT_DROPOUT_KEYS, BERT_KEYS, bert_shape
from tunesmith.models.shape import Family, Shape, whole


def roberta_shape(config: Mapping[str, Any]) -> Shape:
    """BERT's facts; the first `pad_token_id + 1` rows of the position table belong to no token."""
    defaults = {"vocab_size": 50265, "type_vocab_size": 2}
    return replace(bert_shape(defaults | dict(config)), position_offset=whole(config, "pad_token_id", 1) + 1)


FAMILY = Family(
    model_type="roberta",
    prefix="roberta",
    class_name="Roberta",
    shape=roberta_shape,
    dropout_keys=BERT_DROPOUT_KEYS,
    head="dense_tanh",
    keys=BERT_KEYS,
)
XLM_FAMILY = replace(FAMILY, model_type="xlm-roberta", class_name="XLMRoberta")
