"""What a device sees: token rows laid end to end. Padding does not exist outside the attention core.

Shapes: B windows, S sequences in them (one each, but for windows with parts), N tokens, M places that carry a label,
D width, C classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """One window of one example, ready for a batch.

    `places` [m] are the rows of this window that carry a label, `units` [m] the unit of the example each of them
    answers for (the word for token tasks, 0 for a whole text, -1 for the place of "no answer"), `targets` what the loss
    is taken against: class indices [m] (int64), or a float row [m, C] for several labels and for the first and last
    token of an answer, or scores [m] (float32); None without gold.
    """

    example: int
    input_ids: NDArray[np.int32]
    segment_ids: NDArray[np.int8] | None
    places: NDArray[np.int32]
    units: NDArray[np.int32]
    targets: NDArray[np.int64] | NDArray[np.float32] | None
    weight: float | NDArray[np.float32] = 1.0
    """How much each place counts in the loss: one number for all of them, or one for each, [m]"""
    truncated: int = 0
    """Characters of the example that no window shows."""
    pooled: bool = False
    """Whether its one place stands for the mean of all its rows, and not for the row that `places` names"""
    parts: tuple[int, ...] = ()
    """Tokens of each sequence in it, where it holds several that do not see each other but are answered together"""

    def __len__(self) -> int:
        """Tokens in the window, special tokens included."""
        return len(self.input_ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Windows laid end to end. `lengths` stays on the CPU, so that planning never waits for a device."""

    input_ids: Tensor
    """[N] int64"""
    segment_ids: Tensor | None
    """[N] int64, or None where every token belongs to the first segment"""
    positions: Tensor
    """[N] int64, from 0 in every window"""
    lengths: tuple[int, ...]
    """[S] tokens of each sequence"""
    places: Tensor
    """[M] int64, the rows of N that carry a label"""
    targets: Tensor | None
    """[M] int64, [M] float32 or [M, C] float32; None without gold"""
    weight: Tensor
    """[M] float32, how much each place counts in the loss"""
    ids: tuple[str, ...]
    """[B] the example each window belongs to, so that an error can name it"""
    place_counts: tuple[int, ...]
    """[B] places of each window; they sum to M"""
    hidden: Tensor | None = None
    """[M, D] hidden states at `places` that are known already, of a backbone that does not learn"""
    pooled: bool = False
    """Whether each place stands for the mean of all rows of its window; one batch has one kind of places"""
    part_counts: tuple[int, ...] | None = None
    """[B] sequences of each window; None where each is one"""

    @property
    def offsets(self) -> Tensor:
        """[S + 1] int64 borders of the sequences in N, on the CPU."""
        return torch.nn.functional.pad(torch.tensor(self.lengths).cumsum(0), (1, 0))

    @property
    def window_lengths(self) -> tuple[int, ...]:
        """[B] tokens of each window."""
        if self.part_counts is None:
            return self.lengths
        lengths = iter(self.lengths)
        return tuple(sum(islice(lengths, count)) for count in self.part_counts)

    @property
    def tokens(self) -> int:
        """N."""
        return sum(self.lengths)

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch with its tensors on `device`. A GPU is not waited for while it still works on the last one."""
        onto = partial(Tensor.to, device=device, non_blocking=torch.device(device).type == "cuda")
        return replace(
            self,
            input_ids=onto(self.input_ids),
            segment_ids=None if self.segment_ids is None else onto(self.segment_ids),
            positions=onto(self.positions),
            places=onto(self.places),
            targets=None if self.targets is None else onto(self.targets),
            weight=onto(self.weight),
            hidden=None if self.hidden is None else onto(self.hidden),
        )


def collate(encodings: Sequence[Encoding], ids: Sequence[str]) -> Batch:
    """Lay windows end to end. `ids` [B] are the ids of their examples. Longest first is kept if given so."""
    parts = [encoding.parts or (len(encoding),) for encoding in encodings]
    lengths = tuple(length for own in parts for length in own)
    starts = np.cumsum((0, *map(len, encodings[:-1])))
    targets = [encoding.targets for encoding in encodings if encoding.targets is not None]
    segments = None
    if any(encoding.segment_ids is not None for encoding in encodings):
        rows = [np.zeros(len(e), np.int8) if e.segment_ids is None else e.segment_ids for e in encodings]
        segments = torch.from_numpy(np.concatenate(rows).astype(np.int64))
    counts = tuple(len(encoding.places) for encoding in encodings)
    places = [encoding.places.astype(np.int64) + start for encoding, start in zip(encodings, starts, strict=True)]
    return Batch(
        input_ids=torch.from_numpy(np.concatenate([e.input_ids for e in encodings]).astype(np.int64)),
        segment_ids=segments,
        positions=torch.from_numpy(np.concatenate([np.arange(length, dtype=np.int64) for length in lengths])),
        lengths=lengths,
        places=torch.from_numpy(np.concatenate(places)),
        targets=torch.from_numpy(np.concatenate(targets)) if len(targets) == len(encodings) else None,
        weight=torch.from_numpy(np.concatenate(_weights(encodings)).astype(np.float32)),
        ids=tuple(ids),
        place_counts=counts,
        pooled=any(encoding.pooled for encoding in encodings),
        part_counts=tuple(map(len, parts)) if any(encoding.parts for encoding in encodings) else None,
    )


def _weights(encodings: Sequence[Encoding]) -> list[NDArray[np.float64]]:
    """[m] of each window."""
    return [np.broadcast_to(np.asarray(e.weight, np.float64), len(e.places)) for e in encodings]
