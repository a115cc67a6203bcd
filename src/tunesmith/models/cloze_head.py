"""From the hidden states around a blank to a score for each label, through the head that pretraining left.

    log p(w) = sum over the tokens t_1 .. t_n of word w of  log p(t_j | what stands there before t_j)
    score_c  = log sum over the words w of label c of p(w),  or their mean log p;   less the label's prior

A node is a state of the blank that tokens are asked for in: the empty blank, or one that begins with some tokens of a
word. Where every word is one token there is the empty blank alone, and the sum over the vocabulary is never needed: it
would move all scores of a text alike.

Shapes: E windows, m nodes of each, M = E m places, K tokens that words go on with, W words, L tokens of the longest,
C labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tunesmith.models.vocabulary_head import PretrainedHead, VocabularyHead


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """The label words as steps through the nodes."""

    tokens: Sequence[int]
    """[K]"""
    nodes: int
    """m"""
    steps: Sequence[Sequence[tuple[int, int]]]
    """[W] for each token of a word its node and its number in `tokens`"""
    owners: Sequence[int]
    """[W] the label of each word, ascending"""


class ClozeHead(PretrainedHead):
    """[M, D] to [M, C]: every place of a window answers with the scores of the window."""

    def __init__(
        self,
        pretrained: VocabularyHead,
        candidates: Candidates,
        *,
        mean: bool,
        per_token: bool,
        priors: Sequence[float] | None,
    ) -> None:
        """`mean`: of the words of a label, not their sum; `per_token`: log p of a word is divided by its tokens."""
        super().__init__()
        self.pretrained = pretrained
        self.nodes = candidates.nodes
        self._mean, self._per_token = mean, per_token
        longest = max(map(len, candidates.steps))
        padded = [[*steps, *[(0, -1)] * (longest - len(steps))] for steps in candidates.steps]
        steps = torch.tensor(padded)  # [W, L, 2]
        first = {node: token for word in candidates.steps for node, token in reversed(word)}
        labels = max(candidates.owners) + 1
        self._buffer("tokens", torch.tensor(list(candidates.tokens)))
        self._buffer("node", steps[..., 0])
        self._buffer("token", steps[..., 1].clamp(min=0))
        self._buffer("real", steps[..., 1] >= 0)
        self._buffer("some", torch.tensor([first[node] for node in range(self.nodes)]))  # [m] any token of each node
        self._buffer("owned", torch.tensor(list(candidates.owners)) == torch.arange(labels)[:, None])  # [C, W]
        self._buffer("priors", torch.zeros(labels) if priors is None else torch.tensor(list(priors)))

    @property
    def tied(self) -> bool:
        """Whether the words' table is the output matrix too."""
        return self.pretrained.tied

    def hub_name(self, name: str) -> str:
        """transformers' name of the pretrained head's parameter `name`."""
        return self.pretrained.hub_name(name.removeprefix("pretrained."))

    def forward(self, hidden: Tensor) -> Tensor:
        """[M, D] to [M, C]."""
        words = self.words(hidden)
        owned = self.get_buffer("owned")
        if self._mean:
            labels = words @ (owned / owned.sum(1, keepdim=True)).T.to(words.dtype)
        else:
            labels = words[:, None].masked_fill(~owned, -torch.inf).logsumexp(-1)
        return (labels - self.get_buffer("priors")).repeat_interleave(self.nodes, 0)

    def words(self, hidden: Tensor) -> Tensor:
        """log p of each word, [E, W], up to a number that is the same for all where each is one token."""
        found = self.pretrained.logits_at(hidden, self.get_buffer("tokens"))  # [M, K]
        if self.nodes > 1:
            some = self.get_buffer("some").repeat(len(hidden) // self.nodes)
            known = self.pretrained.log_likelihoods(hidden, self.get_buffer("tokens")[some])
            found = found + (known - found.gather(1, some[:, None])[:, 0])[:, None]
        grid = found.view(-1, self.nodes, found.shape[1])
        real = self.get_buffer("real")
        words = grid[:, self.get_buffer("node"), self.get_buffer("token")].masked_fill(~real, 0.0).sum(-1)
        return words / real.sum(-1) if self._per_token else words

    def _buffer(self, name: str, values: Tensor) -> None:
        self.register_buffer(
            name, values, persistent=False
        )  # the task knows them, and no checkpoint has a place for them
