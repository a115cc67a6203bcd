"""Windows of texts that are read alone to become one vector: which of their tokens the vector is the mean of."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from tunesmith.core.batch import Encoding
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.tasks._contrast import Role
from tunesmith.tasks._sequence import FIRST, text_room, window

Pooling = Literal["mean", "cls", "last"]


def every_token(encoding: Encoding) -> Encoding:
    """The window with a place at each of its tokens."""
    places = np.arange(len(encoding), dtype=np.int32)
    return replace(encoding, places=places, units=np.zeros(len(encoding), np.int32))


def vector_windows(
    texts: Sequence[str], tokenizer: Tokenizer, *, pooling: Pooling | None, max_length: int | None
) -> list[Encoding]:
    """One window for each text, the beginning of the text where it does not fit; `Encoding.example` is its number.

    `pooling` None is mean, and last where the model is causal. Characters that are cut off are counted in proportion to
    the tokens.
    """
    room = text_room(tokenizer, max_length)
    found = []
    for number, (text, ids) in enumerate(zip(texts, tokenizer.texts(texts), strict=True)):
        lost = max(1, round(len(text) * (1 - room / len(ids)))) if len(ids) > room else 0
        row = tokenizer.framed(ids[:room])
        one = window(number, row, tokenizer, targets=None, weight=1.0, truncated=lost)
        match pooling or ("last" if tokenizer.causal else "mean"):
            case "mean":
                found.append(every_token(one))
            case "cls":
                found.append(replace(one, places=FIRST))
            case "last":
                found.append(replace(one, places=np.array([len(row) - 1], np.int32)))
    return found


def marked(encoding: Encoding, example: int, marks: tuple[int, Role, int], *, weight: float) -> Encoding:
    """The window as one of an example, with what `Marks` says of it at each of its places."""
    targets = np.tile(np.array(marks, np.int64), (len(encoding.places), 1))
    return replace(encoding, example=example, targets=targets, weight=weight)
