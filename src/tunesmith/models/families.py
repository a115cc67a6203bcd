"""The backbones whose forward pass is ours. Every other model type goes through `hosted`."""

from collections.abc import Mapping
from typing import Any

from tunesmith.models import bert, distilbert, electra, gpt2, llama, roberta
from tunesmith.models.decoder_shape import DecoderFamily
from tunesmith.models.shape import Family

FAMILIES: dict[str, Family] = {
    family.model_type: family
    for family in (bert.FAMILY, roberta.FAMILY, roberta.XLM_FAMILY, distilbert.FAMILY, electra.FAMILY)
}
"""`model_type` of a configuration to what we know about it."""
DECODERS: dict[str, DecoderFamily] = {
    family.model_type: family
    for family in (gpt2.FAMILY, llama.FAMILY, llama.MISTRAL_FAMILY, llama.QWEN2_FAMILY, llama.QWEN3_FAMILY)
}
"""The same for decoders."""


def decoder_family(config: Mapping[str, Any]) -> DecoderFamily | None:
    """What we know about the decoder of a configuration; None where it is none of ours."""
    return DECODERS.get(str(config.get("model_type")))
