"""What a decoder of transformers is good for is tried on some tokens, not read off a list of kinds.

    sees_ahead    whether a row changes with what stands behind it: such a model cannot write
    keeps_cache   whether texts of unlike length, read side by side, may go on, leave and change places in its cache,
                  with the hidden states that they have when everything is read again

A state that is no cache of keys and values (Mamba, RWKV, linear attention) never passes: `HostedDecoder` refuses it.
"""

import torch
from torch import Tensor

from tunesmith.core.errors import TunesmithError
from tunesmith.core.memory import ran_out
from tunesmith.models.hosted import HostedBackbone
from tunesmith.models.hosted_decoder import HostedDecoder
from tunesmith.models.incremental import IncrementalModel, prompt_batch
from tunesmith.models.recomputed import RecomputedModel

_TEXTS = ((1, 2, 3), (4, 5, 6, 7, 1, 2), (3,))
_FOREIGN = (AttributeError, IndexError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError)
"""What a model raises that has no cache, or none of this form"""


@torch.inference_mode()
def sees_ahead(backbone: HostedBackbone) -> bool:
    """Whether the hidden states of a text change with a token behind it."""
    training = backbone.training
    backbone.eval()
    try:
        text = _tokens(backbone, _TEXTS[1])
        batch = prompt_batch([text, text[:-1]]).to(next(backbone.parameters()).device)
        longer, alone = backbone(batch).split(batch.lengths)
    finally:
        backbone.train(training)
    return not _alike(longer[:-1], alone)


@torch.inference_mode()
def keeps_cache(backbone: HostedBackbone) -> bool:
    """Whether `HostedDecoder` writes with this backbone, which is in evaluation mode."""
    try:
        cached, expected = (_states(model, backbone) for model in (HostedDecoder(backbone), RecomputedModel(backbone)))
    except TunesmithError:
        raise
    except _FOREIGN as error:
        if ran_out(error):  # that says nothing about the model
            raise
        return False
    return all(_alike(own, other) for own, other in zip(cached, expected, strict=True))


def _states(model: IncrementalModel, backbone: HostedBackbone) -> list[Tensor]:
    """Hidden states of texts that are read, go on, change places, of which one leaves, and go on."""
    state, hidden = model.prefill([_tokens(backbone, text) for text in _TEXTS])
    found = [hidden]
    for rows in ([0, 1, 2], [1, 1, 0]):
        index = torch.tensor(rows, device=hidden.device)
        state.reorder(index)
        found.append(state.step(torch.tensor(_tokens(backbone, (5, 1, 2)), device=hidden.device)[index]))
    return found


def _tokens(backbone: HostedBackbone, numbers: tuple[int, ...]) -> list[int]:
    """Ids that the vocabulary has."""
    words = len(backbone.encoder.get_input_embeddings().weight)
    return [number % words for number in numbers]


def _alike(first: Tensor, second: Tensor) -> bool:
    """Whether two tensors are equal to half the digits of their format."""
    size = second.abs().max().clamp(min=1.0)
    return bool((first - second).abs().max() <= torch.finfo(first.dtype).eps ** 0.5 * size)
