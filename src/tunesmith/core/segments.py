"""Reading a text that a template wrote: its own control tokens become their ids, what lies between is plain text.

The control tokens are found by a tokenizer that knows nothing else, so that each is cut out exactly where the whole
tokenizer would cut it. What lies between two of them is read in one go, as a running text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tokenizers import Tokenizer as FastTokenizer
from tokenizers import models

from tunesmith.core.control_tokens import TextReader, control_ids

_NONE: Final = -1
"""The id of a place where nothing stands"""


@dataclass(frozen=True, slots=True)
class Control:
    """A control token in a text: characters `start` to `end`."""

    start: int
    end: int
    id: int


@dataclass(frozen=True, slots=True)
class Segment:
    """The tokens of the characters up to `end`."""

    ids: tuple[int, ...]
    end: int


class SegmentReader:
    """A tokenizer for texts with control tokens."""

    def __init__(self, fast: FastTokenizer, touching: FastTokenizer, *, anew: bool) -> None:
        """`fast` reads control tokens as text; `touching` does so too and puts no blank before a text.

        `anew` says whether a text behind a control token is read as if nothing stood before it.
        """
        self._fast, self._touching = fast, touching
        self._behind_control = fast if anew else touching
        self._never = control_ids(fast)
        added = fast.get_added_tokens_decoder()
        tokens = [added[index] for index in sorted(added) if not added[index].content.isspace()]
        self._finder = FastTokenizer(models.WordLevel({"\0": 0}, unk_token="\0"))
        if fast.normalizer is not None:
            self._finder.normalizer = fast.normalizer
        self._finder.add_tokens(tokens)
        ids = {token.content: index for index, token in added.items()}
        self._ids = {own: ids[token.content] for own, token in self._finder.get_added_tokens_decoder().items()}

    def controls(self, text: str, *, offset: int = 0) -> list[Control]:
        """The control tokens of a text, in order; its first character has the number `offset`."""
        found = self._finder.encode(text, add_special_tokens=False)
        named = ((self._ids.get(own), span) for own, span in zip(found.ids, found.offsets, strict=True))
        return [Control(offset + start, offset + end, index) for index, (start, end) in named if index is not None]

    def read(self, text: str, controls: Sequence[Control], cuts: Sequence[int] = ()) -> list[Segment]:
        """The tokens of a text that has no other control tokens than `controls`; none reaches over one of `cuts`."""
        never = self._never | {control.id for control in controls}
        stops = sorted([*controls, *(Control(cut, cut, _NONE) for cut in (*cuts, len(text)))], key=_begin)
        segments: list[Segment] = []
        at, view = 0, self._fast
        for stop in stops:
            if stop.start > at:
                reader = TextReader(view, self._touching, never)
                segments.append(Segment(tuple(reader.read([text[at : stop.start]])[0]), stop.start))
                view = self._touching
            if stop.id != _NONE:
                segments.append(Segment((stop.id,), stop.end))
                view = self._behind_control
            at = max(at, stop.end)
        return segments


def _begin(control: Control) -> tuple[int, int]:
    return control.start, control.end
