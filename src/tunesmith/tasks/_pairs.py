"""Two texts in one window: `prefix A middle B suffix`, the longer one cut first where both do not fit."""

from collections.abc import Sequence
from dataclasses import dataclass

from tunesmith.core.example import Example
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.tasks._labels import unusable


def paired(example: Example) -> Example:
    """The example, which must have a second text.

    Raises:
        DataError: at its line, where it has none.
    """
    if example.pair is not None:
        return example
    raise unusable(
        example,
        "the row has no second text",
        code="TS-TASK-030",
        fix='name the column that holds it (data.pair), or set task.kind = "text_classification".',
    )


@dataclass(frozen=True, slots=True)
class PairWindow:
    """The tokens of a window, how many at its end belong to the second text, and the characters it does not show."""

    ids: tuple[int, ...]
    second: int
    truncated: int


def kept_lengths(first: int, second: int, room: int) -> tuple[int, int]:
    """Tokens kept of each text when tokens are dropped from whichever is longer until both fit `room`."""
    if first + second <= room:
        return first, second
    shorter = min(first, second, room // 2)
    return (room - shorter, shorter) if first > second else (shorter, room - shorter)


def pair_window(
    example: Example, first: Sequence[int], second: Sequence[int], tokenizer: Tokenizer, *, max_length: int | None
) -> PairWindow:
    """The window of a pair whose texts have the tokens `first` and `second`.

    Characters that are cut off are counted in proportion to the tokens of the text they belong to.
    """
    frame = tokenizer.framing
    room = max(min(tokenizer.max_length, max_length or tokenizer.max_length) - frame.paired, 2)
    kept_first, kept_second = kept_lengths(len(first), len(second), room)
    end = (*second[:kept_second], *frame.pair_suffix)
    ids = (*frame.prefix, *first[:kept_first], *frame.middle, *end) or (tokenizer.unknown_id,)
    cut = lost(example.text, len(first), kept_first) + lost(example.pair or "", len(second), kept_second)
    return PairWindow(ids, len(end), cut)


def lost(text: str, tokens: int, kept: int) -> int:
    """Characters of a text that are cut off with all but `kept` of its tokens, in proportion."""
    return max(1, round(len(text) * (1 - kept / tokens))) if kept < tokens else 0
