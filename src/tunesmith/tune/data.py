"""What a model learns from, the order it sees it in, and a fingerprint that a resumed run must find again."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from tunesmith.core.batch import Batch, Encoding, collate
from tunesmith.prepare.batching import plan_epoch
from tunesmith.tune.settings import TrainSettings


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """Windows to learn from. `Encoding.example` indexes into `ids`, the ids of the examples."""

    encodings: Sequence[Encoding]
    ids: Sequence[str]
    seed: int = 0
    """Decides the order of the data and the draws of dropout"""
    whole: bool = False
    """Whether the windows of an example stand in one batch, for a task that compares them"""

    @cached_property
    def owners(self) -> list[int] | None:
        """The example of each window, where the windows of one may not be parted."""
        return [encoding.example for encoding in self.encodings] if self.whole else None

    @property
    def parts(self) -> int:
        """What `train.batch_size` counts: windows, or examples where they are whole."""
        return len(self.encodings) if self.owners is None else len(set(self.owners))

    def fingerprint(self) -> str:
        """sha256 over ids, tokens, targets and weights, in order."""
        digest = hashlib.sha256(repr(len(self.encodings)).encode())
        for encoding in self.encodings:
            digest.update(self.ids[encoding.example].encode("utf-8", "surrogatepass"))
            digest.update(np.asarray(encoding.weight, np.float64).tobytes())
            for part in (encoding.input_ids, encoding.segment_ids, encoding.places, encoding.targets):
                digest.update(b"|" if part is None else str(part.shape).encode() + part.tobytes())
            if encoding.parts:
                digest.update(repr(encoding.parts).encode())
        return digest.hexdigest()

    def vocabulary(self) -> list[int]:
        """The token ids that occur, ascending."""
        return [int(index) for index in np.unique(np.concatenate([window.input_ids for window in self.encodings]))]

    def tokens(self, indices: Sequence[int]) -> int:
        """Tokens of these windows."""
        return sum(len(self.encodings[index]) for index in indices)

    def places(self, indices: Sequence[int]) -> int:
        """Rows of these windows that carry a label."""
        return sum(len(self.encodings[index].places) for index in indices)

    def batch(self, indices: Sequence[int], *, multiple: int = 1) -> Batch:
        """These windows laid end to end, and where `multiple` asks for it one more, without a place or an id.

        It rounds the token count up to a multiple, so that the matrix library meets few shapes: each new one costs it
        time and memory. Below four multiples a quarter of it is enough. No loss sees the window.
        """
        chosen = [self.encodings[index] for index in indices]
        ids = [self.ids[encoding.example] for encoding in chosen]
        tokens = self.tokens(indices)
        missing = -tokens % (multiple if tokens > 4 * multiple else max(1, multiple // 4))
        if missing:
            chosen.append(_filler(chosen[0], missing))
            ids.append("")
        return collate(chosen, ids)


def _filler(like: Encoding, length: int) -> Encoding:
    nowhere = np.zeros(0, np.int32)
    return replace(
        like,
        input_ids=np.full(length, like.input_ids[0], np.int32),
        segment_ids=None,
        places=nowhere,
        units=nowhere,
        targets=None if like.targets is None else like.targets[:0],
        parts=(),
    )


def epoch_groups(data: TrainingData, settings: TrainSettings, epoch: int) -> list[list[tuple[int, ...]]]:
    """The accumulation groups of one epoch, each a list of batches of window indices. A function of seed and epoch."""
    batches = plan_epoch(
        [len(encoding) for encoding in data.encodings],
        batch_size=settings.windows,
        batch_tokens=settings.batch_tokens,
        seed=data.seed,
        epoch=epoch,
        owners=data.owners,
    )
    return [batches[start : start + settings.accumulate] for start in range(0, len(batches), settings.accumulate)]
