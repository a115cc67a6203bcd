"""The head that writes: hidden states to logits over the vocabulary, and the likelihood of tokens without them.

    logits = h W^T,   W the words' own table where the two are tied, else a matrix of the checkpoint

Over a vocabulary the logits of a batch are larger than all hidden states together, so likelihoods are computed a few
rows at a time. Where W is frozen the gradient of a place is known as soon as its logits are, up to the factor that
comes from above, and the logits are never needed again:

    d log p_y / d h = W_y - sum_v p_v W_v

Source for tying: Press and Wolf 2017, Using the Output Embedding to Improve Language Models.
Shapes: M places, D width, V tokens.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tunesmith.core.model import Backbone
from tunesmith.models.decoder import Decoder
from tunesmith.models.hosted import HostedBackbone
from tunesmith.models.hosted_head import ClassHead
from tunesmith.models.hosted_trials import sees_ahead
from tunesmith.models.packed import PackedLinear
from tunesmith.models.vocabulary_head import CHUNK_BYTES, WritingHead, no_head

LANGUAGE_HEAD = "lm_head.weight"
"""Its name in a checkpoint"""


class LanguageHead(WritingHead):
    """[M, D] to [M, V]."""

    def __init__(self, words: nn.Embedding, own: Tensor | None = None, *, name: str = LANGUAGE_HEAD) -> None:
        """`own` [V, D] is the matrix of a head that is not tied to `words`, and `name` what a checkpoint calls it."""
        super().__init__()
        self._name = name
        self._words = (words,)  # in a tuple, so that the table stays the backbone's alone
        self.lm_head: nn.Linear | None = None
        if own is not None:
            self.lm_head = nn.Linear(own.shape[1], own.shape[0], bias=False, device="meta")
            self.lm_head.weight = nn.Parameter(own)

    @property
    def tied(self) -> bool:
        """Whether the words' table is the head too."""
        return self.lm_head is None

    @property
    def weight(self) -> Tensor:
        """W [V, D]."""
        return self._words[0].weight if self.lm_head is None else self.lm_head.weight

    @property
    def vocabulary(self) -> int:
        """V"""
        return len(self.weight)

    def hub_name(self, name: str) -> str:
        """transformers' name of the head's own parameter."""
        return self._name

    def forward(self, hidden: Tensor) -> Tensor:
        """[M, D] to [M, V]."""
        return F.linear(hidden.to(self.weight.dtype), self.weight)

    def log_likelihoods(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """log p of `targets` [M] int64, [M] fp32, from hidden states [M, D]."""
        found: Tensor = _LogLikelihood.apply(hidden, self.weight, targets)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return found

    def logits_at(self, hidden: Tensor, tokens: Tensor) -> Tensor:
        """The logits of `tokens` [K] int64 alone, [M, K] in fp32 at least, whatever the matrix is in."""
        exact = torch.promote_types(hidden.dtype, torch.float32)
        return F.linear(hidden.to(exact), self.weight[tokens].to(exact))

    def writing(self, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
        """The matrix laid out for the processor."""
        return PackedLinear(self.weight, None, dtype=dtype)


def language_head(backbone: Backbone) -> WritingHead:
    """The pretrained head of a causal backbone.

    Raises:
        ConfigError: the backbone does not write, or its checkpoint holds no head, or a part of it only.
    """
    if isinstance(backbone, HostedBackbone) and backbone.causal:
        return _hosted(backbone)
    if not isinstance(backbone, Decoder):
        raise no_head("it is no causal model")
    if backbone.shape.tied:
        return LanguageHead(backbone.words)
    if backbone.carried is None:  # built from a configuration, to be filled from a bundle
        return LanguageHead(backbone.words, torch.empty_like(backbone.words.weight.detach()))
    if LANGUAGE_HEAD not in backbone.carried:
        raise no_head("its checkpoint holds no language head")
    return LanguageHead(backbone.words, backbone.carried[LANGUAGE_HEAD])


def _hosted(backbone: HostedBackbone) -> WritingHead:
    """The head as the model's class computes it, or its matrix alone where that is the same."""
    if backbone.carried is not None and sees_ahead(backbone):
        raise no_head("in it, a row sees what stands behind it")
    head = ClassHead(backbone)
    if not head.plain:
        return head
    own = None if head.tied else head.get_parameter(head.matrix).detach()
    return LanguageHead(backbone.encoder.get_input_embeddings(), own, name=head.matrix)


class _LogLikelihood(torch.autograd.Function):
    """log softmax(h W^T)_y row by row, in chunks of rows."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:  # noqa: ANN401  # torch's context has no type
        found = torch.empty(len(hidden), dtype=torch.float32, device=hidden.device)
        ahead = ctx.needs_input_grad[0] and not ctx.needs_input_grad[1]
        slopes = torch.empty_like(hidden) if ahead else None
        for rows in _chunks(len(hidden), len(weight)):
            logits = _logits(hidden[rows], weight)
            found[rows] = _log_softmax_at(logits, targets[rows])
            if slopes is not None:
                slopes[rows] = _slope(logits, found[rows], targets[rows], weight)
        ctx.ahead = ahead
        if ahead:
            ctx.save_for_backward(slopes)
        else:
            ctx.save_for_backward(hidden, weight, targets, found)
        return found

    @staticmethod
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor | None, Tensor | None, None]:  # noqa: ANN401
        if ctx.ahead:
            (slopes,) = ctx.saved_tensors
            return slopes * above[:, None].to(slopes.dtype), None, None
        hidden, weight, targets, found = ctx.saved_tensors
        for_hidden = torch.empty_like(hidden)
        for_weight = torch.zeros_like(weight, dtype=torch.float32)
        for rows in _chunks(len(hidden), len(weight)):
            logits = _logits(hidden[rows], weight)
            pull = _pull(logits, found[rows], targets[rows]).mul_(above[rows, None])
            for_hidden[rows] = (pull.to(weight.dtype) @ weight).to(hidden.dtype)
            for_weight.addmm_(pull.T, hidden[rows].float())
        return for_hidden, for_weight.to(weight.dtype), None


def _chunks(rows: int, vocabulary: int) -> list[slice]:
    size = max(1, CHUNK_BYTES // (4 * vocabulary))
    return [slice(start, start + size) for start in range(0, rows, size)]


def _logits(hidden: Tensor, weight: Tensor) -> Tensor:
    return F.linear(hidden.to(weight.dtype), weight).float()


def _log_softmax_at(logits: Tensor, targets: Tensor) -> Tensor:
    return logits.gather(1, targets[:, None]).squeeze(1) - logits.logsumexp(1)


def _pull(logits: Tensor, found: Tensor, targets: Tensor) -> Tensor:
    """d log p_y / d logits, [m, V], in the place of the logits: the one at y, less the probabilities."""
    at = torch.arange(len(targets), device=logits.device)
    total = logits[at, targets] - found  # log of the sum of exponentials
    pull = logits.sub_(total[:, None]).exp_().neg_()
    pull[at, targets] += 1
    return pull


def _slope(logits: Tensor, found: Tensor, targets: Tensor, weight: Tensor) -> Tensor:
    return _pull(logits, found, targets).to(weight.dtype) @ weight
