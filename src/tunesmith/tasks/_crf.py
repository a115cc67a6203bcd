"""A linear-chain conditional random field over the units of a window.

    -log p(y | s) = log sum over legal y' of exp score(y') - score(y),   score(y) = sum_t s[t, y_t] + A[y_{t-1}, y_t]

The emissions s come from the ordinary head, which keeps its names; A is learned beside it. Illegal transitions are
shut out of the sum, so training and decoding know the same sequences. A window may begin inside a text, so what a
text may start or end with is left to decoding. Shapes: M places, C tags, S windows with places, T the longest.
Reference: Lafferty, McCallum and Pereira 2001, Conditional random fields.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

_FORBIDDEN = -1e4


class Crf(nn.Module):
    """The transition scores A [C, C] from row to column."""

    def __init__(self, allowed: Tensor) -> None:
        super().__init__()
        self.transitions = nn.Parameter(torch.zeros(allowed.shape, dtype=torch.float32, device=allowed.device))
        self.register_buffer("allowed", allowed, persistent=False)

    def negative_log_likelihood(self, emissions: Tensor, targets: Tensor, place_counts: Sequence[int]) -> Tensor:
        """[S] of the windows that have places, in order.

        Args:
            emissions: [M, C] fp32.
            targets: [M] classes.
            place_counts: places of each window; those without any are left out of the result.
        """
        scores = self.transitions.masked_fill(~self.get_buffer("allowed"), _FORBIDDEN)
        lengths = [count for count in place_counts if count]
        order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
        device = emissions.device
        rows = _rows(lengths, order).to(device)  # [T, S]
        running = [sum(length > t for length in lengths) for t in range(len(rows))]
        total = emissions[rows[0]]
        for t, size in enumerate(running[1:], 1):
            moved = torch.logsumexp(total[:size, :, None] + scores, dim=1) + emissions[rows[t, :size]]
            total = torch.cat([moved, total[size:]])
        back = torch.empty(len(order), dtype=torch.long)
        back[torch.tensor(order, dtype=torch.long)] = torch.arange(len(order))
        partition = torch.logsumexp(total, dim=1)[back.to(device)]
        return partition - _gold_score(emissions, targets, scores, torch.tensor(lengths, device=device))


def _rows(lengths: Sequence[int], order: Sequence[int]) -> Tensor:
    """[T, S] where the windows, longest first, have their t-th place; beyond the end the last one."""
    sizes = torch.tensor(lengths)
    starts = sizes.cumsum(0) - sizes
    chosen = torch.tensor(order)
    steps = torch.minimum(torch.arange(max(lengths))[:, None], sizes[chosen][None, :] - 1)
    return starts[chosen][None, :] + steps


def _gold_score(emissions: Tensor, targets: Tensor, scores: Tensor, lengths: Tensor) -> Tensor:
    """[S] the score of the true tags."""
    each = emissions.gather(1, targets[:, None]).squeeze(1)
    moves = scores[targets[:-1], targets[1:]]
    inside = torch.ones(len(targets) - 1, dtype=torch.bool, device=targets.device)
    inside[lengths.cumsum(0)[:-1] - 1] = False  # no move from one window to the next
    each = each + torch.cat([each.new_zeros(1), moves * inside])
    owner = torch.repeat_interleave(torch.arange(len(lengths), device=targets.device), lengths)
    return each.new_zeros(len(lengths)).index_add(0, owner, each)
