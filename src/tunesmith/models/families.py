"""The encoders whose forward pass is ours. Every other model type goes through `hosted`."""

from tunesmith.models import bert, distilbert, electra, roberta
from tunesmith.models.shape import Family

FAMILIES: dict[str, Family] = {
    family.model_type: family
    for family in (bert.FAMILY, roberta.FAMILY, roberta.XLM_FAMILY, distilbert.FAMILY, electra.FAMILY)
}
"""`model_type` of a configuration to what we know about it."""
