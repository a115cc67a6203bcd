"""The window of a text in a template: demonstrations, the template with the text in it, and each state of the blank.

    causal    prefix  demonstrations  before the blank  tokens of a word so far
    masked    prefix  demonstrations  before the blank  tokens so far and masks  after the blank  suffix

What does not fit is cut from the end of the text (of the longer one of a pair), never from the template or the blank.
Demonstrations are left out before the text is cut, the least alike first.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tunesmith.core.batch import Encoding
from tunesmith.core.errors import ConfigError, Place
from tunesmith.core.example import Example
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.tasks._demonstrations import Demonstration
from tunesmith.tasks._pairs import kept_lengths, lost
from tunesmith.tasks._sequence import FIRST
from tunesmith.tasks._template import Ids, Part, Template, read, words_of
from tunesmith.tasks._verbalizer import Asked

BETWEEN = "\n\n"
"""Between a demonstration and what follows it; tokenizers that drop line breaks put nothing there."""


@dataclass(frozen=True, slots=True)
class Shown:
    """The tokens of one text and of its pair, and of the demonstrations that may stand before it, in order."""

    example: Example
    text: Ids
    pair: Ids
    demonstrations: Sequence[Ids] = ()


class ClozeWindows:
    """A template and its label words for one tokenizer."""

    def __init__(self, template: Template, asked: Asked, tokenizer: Tokenizer, *, max_length: int | None) -> None:
        """Raises a `ConfigError` where the template leaves no room for a text."""
        self._template, self._asked, self._tokenizer = template, asked, tokenizer
        self._own = {
            part: words_of(part, tokenizer, begins=part is template.parts[0])
            for part in template.parts
            if part.kind == "words"
        }
        self._between = _between(tokenizer)
        frame = tokenizer.framing
        self._suffix = () if tokenizer.causal else frame.suffix
        limit = min(tokenizer.max_length, max_length or tokenizer.max_length)
        shown = template.before if tokenizer.causal else template.parts  # what follows is in the blank there
        inside = sum(len(self._own[part]) for part in shown if part.kind == "words") + asked.longest
        self._room = limit - len(frame.prefix) - len(self._suffix) - inside
        if self._room < 1:
            raise ConfigError(
                f"the template leaves no room for a text in a window of {limit} tokens",
                code="TS-TASK-063",
                place=Place(key="task.template"),
                fix="shorten it, or raise task.max_length where the backbone allows it.",
            )

    def texts(self, examples: Sequence[Example]) -> list[tuple[Ids, Ids]]:
        """The tokens of each text and of its pair, as they stand in the template."""
        texts = self._stretches([example.text for example in examples], "text")
        pairs = self._stretches([example.pair or "" for example in examples], "pair")
        return list(zip(texts, pairs, strict=True))

    def demonstrations(self, rows: Sequence[Demonstration], words: dict[str, Ids]) -> list[Ids]:
        """The tokens of each row in the template, its label's word in the blank."""
        texts = self._stretches([row.text for row in rows], "text")
        pairs = self._stretches([row.pair or "" for row in rows], "pair")
        found = []
        for row, text, pair in zip(rows, texts, pairs, strict=True):
            before, after = self._around(text, pair)
            found.append((*before, *words[row.label], *after, *self._between))
        return found

    def window(self, index: int, shown: Shown, *, label: int | None) -> Encoding:
        """The window of the example number `index`; its places, one for each node, share its weight and its label."""
        text, pair = kept_lengths(len(shown.text), len(shown.pair), self._room)
        ahead = self._fitting(shown.demonstrations, self._room - text - pair)
        before, after = self._around(shown.text[:text], shown.pair[:pair])
        start = (*self._tokenizer.framing.prefix, *ahead, *before) or (self._tokenizer.unknown_id,)
        end = () if self._tokenizer.causal else (*after, *self._suffix)
        ids: list[int] = []
        places: list[int] = []
        lengths: list[int] = []
        for sighting in self._asked.sequences:
            blank = [self._mask if token is None else token for token in sighting.blank]
            places += [len(ids) + len(start) + read for read in sighting.reads]
            ids += (*start, *blank, *end)
            lengths.append(len(start) + len(blank) + len(end))
        return Encoding(
            example=index,
            input_ids=np.array(ids, np.int32),
            segment_ids=None,
            places=np.array(places, np.int32),
            units=np.repeat(FIRST, len(places)),
            targets=None if label is None else np.full(len(places), label, np.int64),
            weight=shown.example.weight / len(places),
            truncated=lost(shown.example.text, len(shown.text), text)
            + lost(shown.example.pair or "", len(shown.pair), pair),
            parts=tuple(lengths) if len(lengths) > 1 else (),
        )

    @property
    def _mask(self) -> int:
        mask = self._tokenizer.mask_id
        if mask is not None:
            return mask
        raise ConfigError(
            "the tokenizer of this backbone has no mask token to put into a blank",
            code="TS-TASK-064",
            place=Place(key="backbone"),
            fix="choose a backbone that was pretrained to fill masks, or a causal one.",
        )

    def _fitting(self, demonstrations: Sequence[Ids], room: int) -> Ids:
        """As many of the last demonstrations as fit `room` tokens, in order."""
        ids: Ids = ()
        for own in reversed(demonstrations):
            if len(ids) + len(own) > room:
                break
            ids = (*own, *ids)
        return ids

    def _around(self, text: Ids, pair: Ids) -> tuple[list[int], list[int]]:
        """The tokens before and after the blank."""
        said = {"text": text, "pair": pair}

        def joined(parts: Sequence[Part]) -> list[int]:
            return [token for part in parts for token in (said[part.kind] if part.kind in said else self._own[part])]

        return joined(self._template.before), joined(self._template.after)

    def _stretches(self, texts: Sequence[str], kind: str) -> list[Ids]:
        part = next((part for part in self._template.parts if part.kind == kind), None)
        if part is None:
            return [()] * len(texts)
        return read(texts, self._tokenizer, spaced=part.spaced, begins=part is self._template.parts[0])


def _between(tokenizer: Tokenizer) -> Ids:
    """The tokens of `BETWEEN` where words stand on both sides: alone they may be others."""
    word, both = tokenizer.stretches([("a", False), (f"a{BETWEEN}a", False)])
    return both[len(word) : len(both) - len(word)]
