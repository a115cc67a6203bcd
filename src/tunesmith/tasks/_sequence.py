"""What tasks share whose label belongs to a whole text: one place in a window, one answer per example.

The place is the window's first token, or its last where the model is causal: a first token has seen nothing there.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tunesmith.core.batch import Encoding
from tunesmith.core.example import Example
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.prepare.alignment import windows_of
from tunesmith.tasks._labels import one_label, single, unknown_label

Targets = NDArray[np.int64] | NDArray[np.float32] | None

FIRST = np.zeros(1, np.int32)
FIRST.setflags(write=False)
"""The place at a window's first token, and the one unit of an example; shared, hence read-only."""

CHUNK = 8192
"""Texts that are tokenised in one call: enough to be fast, few enough to hold twice."""

T = TypeVar("T")


def chunks(items: Iterable[T], size: int = CHUNK) -> Iterator[list[T]]:
    """The items in lists of at most `size`."""
    stream = iter(items)
    while part := list(islice(stream, size)):
        yield part


def text_room(tokenizer: Tokenizer, max_length: int | None) -> int:
    """Tokens of one text that fit a window beside its special tokens, at least 1."""
    return max(min(tokenizer.max_length, max_length or tokenizer.max_length) - tokenizer.framing.alone, 1)


def window_borders(tokens: int, *, room: int, stride: int) -> list[tuple[int, int]]:
    """Tokens `first` to `last` (exclusive) of each window of a text, `stride` of them shared, at most half a window."""
    if tokens <= room:
        return [(0, tokens)]
    return windows_of([1] * tokens, room=room, stride=min(stride, room // 2))


def window(
    example: int,
    ids: Sequence[int],
    tokenizer: Tokenizer,
    *,
    targets: Targets,
    weight: float,
    segments: int = 0,
    truncated: int = 0,
) -> Encoding:
    """One window with its label. The last `segments` tokens belong to the second text."""
    segment_ids = None
    if segments:
        segment_ids = np.zeros(len(ids), np.int8)
        segment_ids[-segments:] = 1
    return Encoding(
        example=example,
        input_ids=np.array(ids, np.int32),
        segment_ids=segment_ids,
        places=np.array([len(ids) - 1], np.int32) if tokenizer.causal else FIRST,
        units=FIRST,
        targets=targets,
        weight=weight,
        truncated=truncated,
    )


def text_windows(
    examples: Sequence[Example],
    tokenizer: Tokenizer,
    targets: Callable[[Example], Targets],
    *,
    max_length: int | None,
    stride: int,
) -> list[Encoding]:
    """The windows of single texts in order; each counts 1 / windows of what its example weighs.

    Raises:
        DataError: at the line of an example with a second text; whatever `targets` raises.
    """
    room = text_room(tokenizer, max_length)
    encodings: list[Encoding] = []
    for part in chunks(enumerate(examples)):
        texts = tokenizer.texts([example.text for _, example in part])
        for (number, example), ids in zip(part, texts, strict=True):
            wanted = targets(single(example))
            borders = window_borders(len(ids), room=room, stride=stride)
            for first, last in borders:
                row = tokenizer.framed(ids[first:last])
                encodings.append(window(number, row, tokenizer, targets=wanted, weight=example.weight / len(borders)))
    return encodings


def class_target(example: Example, *, index: Mapping[str, int]) -> Targets:
    """[1] the class of an example's only label by its name, or None without gold.

    Raises:
        DataError: it does not carry exactly one label, or one that has no class.
    """
    if example.gold is None:
        return None
    name = one_label(example)
    if name not in index:
        raise unknown_label(example, name)
    return np.array([index[name]], np.int64)


def averaged(logits: Sequence[Tensor], encodings: Sequence[Encoding], examples: int) -> Tensor:
    """[E, C] mean logits of each example over its windows, from [1, C] each.

    An example with one window keeps its logits bit for bit.
    """
    rows = torch.cat(list(logits))
    owner = torch.tensor([encoding.example for encoding in encodings])
    count = torch.bincount(owner, minlength=examples)
    total = rows.new_zeros(examples, rows.shape[1]).index_add_(0, owner, rows)
    return total / count[:, None]


def unseen(encodings: Iterable[Encoding], examples: int) -> list[int]:
    """[E] characters of each example that no window shows."""
    found = [0] * examples
    for encoding in encodings:
        found[encoding.example] += encoding.truncated
    return found
