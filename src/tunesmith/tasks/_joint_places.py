"""Windows whose first place is that of a label of the whole text, before the places of its units.

Shapes: M places of a batch, m some of them, D width, C classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from tunesmith.core.batch import Batch, Encoding

WHOLE = -1
"""The unit that the place of a whole text answers for."""


class JointHead(nn.Module):
    """Two heads over the same rows: one reads the label of a text, the other the tags of its units."""

    def __init__(self, labels: nn.Module, tags: nn.Module) -> None:
        super().__init__()
        self.labels = labels
        self.tags = tags

    def forward(self, hidden: Tensor) -> Tensor:
        """[M, D] to [M, C], the classes of the labels before those of the tags."""
        return torch.cat([self.labels(hidden), self.tags(hidden)], -1)


def with_label_place(
    window: Encoding, *, labels: int, target: int | None, weight: float, unit_weight: float, causal: bool
) -> Encoding:
    """A window of tagged units with a place for the label ahead of theirs.

    It is the window's first token, or its last where the model is causal: a first token has seen nothing there.
    `weight` is that of the label place, `unit_weight` that of every unit. Tags are counted from `labels` on.
    """
    targets = None if window.targets is None else window.targets + labels
    return replace(
        window,
        places=np.concatenate([[len(window) - 1 if causal else 0], window.places]).astype(np.int32),
        units=np.concatenate([[WHOLE], window.units]).astype(np.int32),
        targets=None if targets is None or target is None else np.concatenate([[target], targets]).astype(np.int64),
        weight=np.array([weight, *[unit_weight] * len(window.places)], np.float32),
    )


def label_windows(windows: Sequence[Encoding]) -> list[Encoding]:
    """The windows with the places of their labels alone, without gold."""
    return [replace(w, places=w.places[:1], units=w.units[:1], targets=None, weight=1.0) for w in windows]


def unit_windows(windows: Sequence[Encoding]) -> list[Encoding]:
    """The windows with the places of their units alone, without gold."""
    return [replace(w, places=w.places[1:], units=w.units[1:], targets=None, weight=1.0) for w in windows]


@dataclass(frozen=True, slots=True)
class Places:
    """The places of one kind in a batch."""

    rows: Tensor
    """[m] which of the M they are"""
    batch: Batch
    """The batch with these places alone"""


def label_places(batch: Batch) -> Places:
    """The first place of every window that has any."""
    counts = tuple(min(count, 1) for count in batch.place_counts)
    return _places(batch, _is_label(batch), counts)


def unit_places(batch: Batch, *, labels: int) -> Places:
    """All other places, with tags counted from 0 instead of from `labels`."""
    counts = tuple(max(count - 1, 0) for count in batch.place_counts)
    found = _places(batch, ~_is_label(batch), counts)
    targets = found.batch.targets
    return found if targets is None else replace(found, batch=replace(found.batch, targets=targets - labels))


def in_order(*parts: tuple[Places, Tensor]) -> Tensor:
    """[M] from what belongs to places of each kind, [m]."""
    found = torch.cat([values for _, values in parts])
    return torch.empty_like(found).index_copy(0, torch.cat([places.rows for places, _ in parts]), found)


def masked(logits: Tensor, batch: Batch, *, labels: int) -> Tensor:
    """Logits [M, C] in which a place of one kind gives the classes of the other no chance; the first are `labels`."""
    of_labels = torch.arange(logits.shape[-1]) < labels
    foreign = _is_label(batch)[:, None] != of_labels[None, :]
    return logits.masked_fill(foreign.to(logits.device), _NO_CHANCE)


_NO_CHANCE = -1e4
"""A logit that no softmax gives anything; a finite one, so that differences of logarithms stay numbers."""


def _is_label(batch: Batch) -> Tensor:
    """[M] on the CPU, as the counts are."""
    counts = torch.tensor([count for count in batch.place_counts if count], dtype=torch.int64)
    found = torch.zeros(len(batch.places), dtype=torch.bool)
    found[counts.cumsum(0) - counts] = True
    return found


def _places(batch: Batch, chosen: Tensor, counts: tuple[int, ...]) -> Places:
    rows = chosen.nonzero().squeeze(1).to(batch.places.device)
    own = replace(
        batch,
        places=batch.places[rows],
        targets=None if batch.targets is None else batch.targets[rows],
        weight=batch.weight[rows],
        place_counts=counts,
        hidden=None if batch.hidden is None else batch.hidden[rows],
    )
    return Places(rows, own)
