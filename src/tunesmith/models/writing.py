"""The form a causal backbone has while it only writes, whichever it is; `answering.py` is the same for labels.

Our own decoders keep keys and values of rows end to end (`cached_decoder.py`); those of transformers keep them in its
cache (`hosted_decoder.py`), or keep nothing (`recomputed.py`) where their state is of a kind that texts cannot leave.
"""

import copy

import torch

from tunesmith.core.model import Backbone
from tunesmith.models.cached_decoder import CachedDecoder
from tunesmith.models.decoder import Decoder
from tunesmith.models.hosted import HostedBackbone
from tunesmith.models.hosted_decoder import HostedDecoder
from tunesmith.models.hosted_trials import keeps_cache
from tunesmith.models.incremental import IncrementalModel
from tunesmith.models.recomputed import RecomputedModel
from tunesmith.models.surgery import merge
from tunesmith.models.vocabulary_head import no_head


def writing(backbone: Backbone, dtype: torch.dtype = torch.float32) -> IncrementalModel:
    """`backbone` ready to write in `dtype`; what a method left in it is merged, and it stays as it is.

    Raises:
        ConfigError: the backbone does not write, or holds something that has no such form.
    """
    match backbone:
        case Decoder():
            return CachedDecoder(backbone, dtype=dtype)
        case HostedBackbone() if backbone.causal:
            alone = _alone(backbone)
            form = HostedDecoder if keeps_cache(alone) else RecomputedModel
            return form(alone if dtype == torch.float32 else copy.deepcopy(alone).to(dtype))
        case _:
            raise no_head("it is no causal model")


def rereads(backbone: Backbone) -> bool:
    """Whether the whole text is read again for every token that such a backbone writes."""
    return isinstance(backbone, HostedBackbone) and isinstance(writing(backbone), RecomputedModel)


def _alone(backbone: HostedBackbone) -> HostedBackbone:
    """A copy in evaluation mode that shares every tensor, with what a method put around weights merged."""
    shared = [*backbone.parameters(), *backbone.buffers(), *(backbone.carried or {}).values()]
    alone = copy.deepcopy(backbone, {id(tensor): tensor for tensor in shared}).eval()
    merge(alone)
    return alone
