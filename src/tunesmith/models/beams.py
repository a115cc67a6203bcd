"""Beam search: of all texts of one length the k likeliest go on, and the likeliest of those that ended is the answer.

    score(text) = log p(text) / length^length_penalty,   the length counts the token that ends it

The semantics are those of `generate(num_beams=k)` of transformers with `early_stopping=False`: at each step the best
(1 + E) k continuations are looked at, for E tokens that end a text and at least 1, so that k are left that go on. A
continuation that ends counts only if it is among the first k. A prompt is done once k texts have ended and the
likeliest one under way, divided by its present length, is no better than the worst of them.

Source: Graves 2012, Sequence Transduction with Recurrent Neural Networks, section 2.5; Wu et al. 2016, Google's Neural
Machine Translation System, section 7 (the length penalty, here in its simpler form).

Shapes: B prompts under way, k beams, n continuations, V words of the vocabulary.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tunesmith.models.decoding import Decoding
from tunesmith.models.incremental import IncrementalModel
from tunesmith.models.sampling import occurring, penalised

_NEVER = -1e9
"""The score of a beam that stands for nothing yet"""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A text that has ended, or may go no further."""

    ids: tuple[int, ...]
    """With the token that ends it"""
    score: float
    log_probability: float
    """Of the model itself, before the repetition penalty"""


@dataclass(slots=True, eq=False)
class _Search:
    """The beams of one prompt."""

    prompt: Sequence[int]
    limit: int
    beams: int
    texts: list[tuple[int, ...]]
    ended: list[Hypothesis] = field(default_factory=list)
    """At most k, best first"""

    def end(self, hypothesis: Hypothesis) -> None:
        self.ended = sorted([*self.ended, hypothesis], key=lambda each: -each.score)[: self.beams]

    def done(self, best: float, length_penalty: float) -> bool:
        """Whether nothing under way, `best` the sum of its likeliest, can become an answer."""
        length = len(self.texts[0])
        if length >= self.limit:
            return True
        return len(self.ended) == self.beams and best / length**length_penalty <= self.ended[-1].score


@torch.inference_mode()
def searched(
    model: IncrementalModel,
    head: Callable[[Tensor], Tensor],
    prompts: Sequence[Sequence[int]],
    *,
    decoding: Decoding,
    limits: Sequence[int],
    ends: Collection[int],
) -> list[Hypothesis]:
    """The best text for each of `prompts`, of at most as many tokens as `limits` says."""
    k = decoding.beams
    searches = [_Search(prompt, limit, k, [()] * k) for prompt, limit in zip(prompts, limits, strict=True)]
    under_way = list(searches)
    state, hidden = model.prefill(prompts)
    state.reorder(torch.arange(len(prompts)).repeat_interleave(k))
    hidden = hidden.repeat_interleave(k, 0)
    sums = torch.full((len(prompts), k), _NEVER, device=hidden.device)
    sums[:, 0] = 0.0  # all beams are the same still: only one may be continued
    plain = torch.zeros_like(sums)
    while True:
        own = head(hidden).float().log_softmax(-1)
        scores = own
        if decoding.repetition_penalty != 1.0:
            texts = [(*search.prompt, *text) for search in under_way for text in search.texts]
            scores = penalised(own, occurring(texts, own), decoding.repetition_penalty)
        words = own.shape[1]
        total = (sums[:, :, None] + scores.view(len(under_way), k, words)).flatten(1)
        best, found = total.topk(min(max(2, 1 + len(ends)) * k, total.shape[1]))
        plain = plain.gather(1, found // words) + own.view(len(under_way), -1).gather(1, found)
        rows, tokens, kept_sums, kept_plain = [], [], [], []
        left = []
        for number, search in enumerate(under_way):
            picks = _continued(
                search,
                list(zip(best[number].tolist(), plain[number].tolist(), found[number].tolist(), strict=True)),
                words=words,
                ends=ends,
                length_penalty=decoding.length_penalty,
            )
            if search.done(picks[0].total, decoding.length_penalty):
                continue
            left.append(search)
            rows += [number * k + pick.beam for pick in picks]
            tokens += [pick.token for pick in picks]
            kept_sums.append([pick.total for pick in picks])
            kept_plain.append([pick.plain for pick in picks])
        if not left:
            return [search.ended[0] for search in searches]
        under_way = left
        sums, plain = (torch.tensor(kept, device=hidden.device) for kept in (kept_sums, kept_plain))
        state.reorder(torch.tensor(rows))
        hidden = state.step(torch.tensor(tokens, device=hidden.device))


@dataclass(frozen=True, slots=True)
class _Pick:
    """A beam and the token that follows it."""

    beam: int
    token: int
    total: float
    plain: float


def _continued(
    search: _Search,
    candidates: Sequence[tuple[float, float, int]],
    *,
    words: int,
    ends: Collection[int],
    length_penalty: float,
) -> list[_Pick]:
    """The k beams that go on, of `candidates` (sum, sum without penalty, beam * V + token), best first.

    What ends is put among the texts that have ended, and the texts of `search` are moved on.
    """
    going: list[_Pick] = []
    length = len(search.texts[0]) + 1
    for place, (total, plain, at) in enumerate(candidates):
        beam, token = divmod(at, words)
        last = token in ends or length >= search.limit
        if last and place < search.beams:
            text = (*search.texts[beam], token)
            search.end(Hypothesis(text, total / length**length_penalty, plain))
        if token not in ends and len(going) < search.beams:
            going.append(_Pick(beam, token, total, plain))
    search.texts = [(*search.texts[pick.beam], pick.token) for pick in going]
    return going
