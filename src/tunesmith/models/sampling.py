"""From scores to the next token: the penalty, the filters and the draw.

What the filters keep is what those of transformers keep, in their order: repetition penalty, temperature, top-k, top-p,
min-p.

Shapes: B texts, V words of the vocabulary.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from tunesmith.core.seed import derived
from tunesmith.models.decoding import Decoding

_FIRST = 256
"""Tokens that are looked at first for top-p"""
_BLOCK = 64
"""Tokens of a block; most vocabularies are a multiple of it, since products are faster then"""


def likeliest(scores: Tensor) -> Tensor:
    """[B] of the tokens with the highest of `scores` [B, V].

    torch's own argmax reads a number at a time on a processor: the highest of each block are found ten times as fast.
    """
    if scores.device.type != "cpu" or scores.shape[1] % _BLOCK:
        return scores.argmax(-1)
    blocks = scores.view(len(scores), -1, _BLOCK)
    best = blocks.amax(-1).argmax(-1, keepdim=True)  # [B, 1]
    inside = blocks.take_along_dim(best[:, :, None], 1)[:, 0].argmax(-1, keepdim=True)
    return (best * _BLOCK + inside)[:, 0]


def penalised(scores: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """`scores` [B, V] where what was `seen` [B, V] is divided by `penalty` if positive, else multiplied by it.

    Source: Keskar et al. 2019, CTRL, section 4.1.
    """
    return torch.where(seen, torch.where(scores < 0, scores * penalty, scores / penalty), scores)


def occurring(texts: Sequence[Sequence[int]], like: Tensor) -> Tensor:
    """Which tokens occur in each text, [B, V] bool, for scores `like` [B, V]. Ids beyond V are left out."""
    seen = torch.zeros(like.shape, dtype=torch.bool)
    for row, text in zip(seen, texts, strict=True):
        ids = torch.tensor(text)
        row[ids[ids < like.shape[1]]] = True
    return seen.to(like.device)


def filtered(scores: Tensor, decoding: Decoding) -> Tensor:
    """`scores` [B, V] by the temperature, minus infinity on what is not drawn from; the likeliest always stays."""
    if decoding.temperature != 1.0:
        scores = scores / decoding.temperature
    if 0 < decoding.top_k < scores.shape[1]:
        least = torch.topk(scores, decoding.top_k).values[:, -1:]
        scores = scores.masked_fill(scores < least, -torch.inf)
    if decoding.top_p < 1.0:
        scores = scores.masked_fill(scores < _least_of_mass(scores, decoding.top_p), -torch.inf)
    if decoding.min_p > 0.0:
        probability = scores.softmax(-1)
        top = probability.max(-1, keepdim=True)
        out = (probability < decoding.min_p * top.values).scatter_(1, top.indices, False)
        scores = scores.masked_fill(out, -torch.inf)
    return scores


def _least_of_mass(scores: Tensor, mass: float) -> Tensor:
    """The score [B, 1] of the last token that is needed to reach a probability of `mass`, from the likeliest on.

    Mostly a few hundred tokens reach it, and to find them takes a fraction of the time of sorting a vocabulary.
    """
    count, total = _FIRST, scores.logsumexp(-1, keepdim=True)
    while True:
        top = scores.topk(min(count, scores.shape[1])).values
        probability = (top - total).exp()
        reached = probability.cumsum(-1)
        if count >= scores.shape[1] or bool((reached[:, -1] >= mass).all()):
            needed = (reached - probability < mass).sum(-1, keepdim=True)
            return top.gather(1, needed - 1)
        count *= 8


def drawn(scores: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
    """A token for each row of `scores` [B, V] with probability softmax(scores), from one number of each generator.

    The number is looked up in the running sum of probabilities. It has 24 bits and the sum is kept in fp64, so that
    it always falls short of the whole and a token of probability 0 is never found.
    """
    mass = scores.softmax(-1).double().cumsum(-1)
    draw = torch.cat([torch.rand(1, generator=generator) for generator in generators]).to(mass)
    return torch.searchsorted(mass, (draw * mass[:, -1])[:, None], right=True)[:, 0]


def generators(prompts: Sequence[Sequence[int]], seed: int) -> list[torch.Generator]:
    """One for each prompt, named by the seed, the prompt's tokens and how often it came before.

    So a text is answered alike alone and in company, and a prompt given twice gets two answers.
    """
    came: dict[tuple[int, ...], int] = {}
    found = []
    for prompt in prompts:
        ids = tuple(prompt)
        came[ids] = came.get(ids, 0) + 1
        name = " ".join(map(str, ids))
        found.append(torch.Generator().manual_seed(derived(seed, "decoding", name, came[ids])))
    return found
