"""Sub-words of single words, as a running text would give them.

Byte-level BPE and SentencePiece write the blank into the piece that follows it (`Ġword`, `▁word`), so a word's pieces
depend on whether a blank precedes it. Two views of one tokenizer (they share its vocabulary in memory) read a word
after a blank and a word that touches what stands before it. WordPiece drops blanks; there both views are the same.

A leading piece that is nothing but the blank (`▁`, `Ġ`) is dropped where others follow: it says nothing about the
word, would take the tag meant for its first sub-word, and would make one Chinese character cost two tokens.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer as FastTokenizer

from tunesmith.core.control_tokens import TextReader, control_ids

_SPACE_MARKS = {"ByteLevel": "Ġ", "Metaspace": "▁"}


@dataclass(frozen=True, slots=True)
class WordReader:
    """The two views of a tokenizer."""

    after_blank: TextReader
    touching: TextReader
    lead: str
    """Put before a word that follows a blank, where the tokenizer does not do so itself."""
    mark_id: int | None
    """The piece that is nothing but the blank."""

    def read(self, words: Sequence[tuple[str, bool]]) -> list[tuple[int, ...]]:
        """Token ids of each word (with whether a blank precedes it); empty where the tokenizer drops all of it."""
        return [self._without_mark(ids) for ids in self.running(words)]

    def running(self, stretches: Sequence[tuple[str, bool]]) -> list[list[int]]:
        """The same of stretches of a running text, with a leading piece that is nothing but the blank."""
        spaced = [self.lead + text for text, blank in stretches if blank]
        joined = [text for text, blank in stretches if not blank]
        after, touching = iter(self.after_blank.read(spaced)), iter(self.touching.read(joined))
        return [next(after) if blank else next(touching) for _, blank in stretches]

    def _without_mark(self, ids: list[int]) -> tuple[int, ...]:
        return tuple(ids[1:] if len(ids) > 1 and ids[0] == self.mark_id else ids)


def word_reader(fast: FastTokenizer) -> WordReader:
    """The views of a tokenizer, told from its own description of normaliser and pre-tokenizer."""
    description = _description(fast)
    steps = {str(step.get("type")) for step in _steps(description)}
    space_mark = next((mark for step, mark in _SPACE_MARKS.items() if step in steps), None)
    writes_blank = space_mark is not None or any(_replaces_blank(step) for step in _steps(description))
    control = control_ids(fast)
    if not writes_blank:
        reader = TextReader(fast, fast, control)
        return WordReader(reader, reader, "", None)
    own_lead = "Metaspace" in steps or "Prepend" in steps
    touching = _view(fast, description, leading_blank=False)
    return WordReader(
        after_blank=TextReader(_view(fast, description, leading_blank=own_lead), touching, control),
        touching=TextReader(touching, touching, control),
        lead="" if own_lead else " ",
        mark_id=fast.token_to_id(space_mark or "▁"),
    )


def begins_anew(fast: FastTokenizer) -> bool:
    """Whether a text behind a control token gets the blank that a tokenizer puts before a text, if it puts any."""
    steps = _steps(_description(fast))
    return all(step.get("prepend_scheme") != "first" for step in steps)


def _description(fast: FastTokenizer) -> dict[str, Any]:
    """Normaliser and pre-tokenizer as the library writes them, without the vocabulary."""
    empty = FastTokenizer.from_str('{"model":{"type":"WordLevel","vocab":{"a":0},"unk_token":"a"}}')
    if fast.normalizer is not None:
        empty.normalizer = fast.normalizer
    if fast.pre_tokenizer is not None:
        empty.pre_tokenizer = fast.pre_tokenizer
    return dict(json.loads(empty.to_str()))


def _steps(description: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every single step of normaliser and pre-tokenizer, sequences unfolded."""
    for section in (description.get("normalizer"), description.get("pre_tokenizer")):
        yield from _unfolded(section)


def _unfolded(section: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    if section is None:
        return
    yield section
    for inner in (*section.get("normalizers", ()), *section.get("pretokenizers", ())):
        yield from _unfolded(inner)


def _replaces_blank(step: dict[str, Any]) -> bool:
    return step.get("type") == "Replace" and step.get("content") == "▁"


def _view(fast: FastTokenizer, description: dict[str, Any], *, leading_blank: bool) -> FastTokenizer:
    """The same tokenizer, which puts a blank before every text or never does."""
    edited = json.loads(json.dumps(description))
    for step in _steps(edited):
        if step["type"] == "ByteLevel" and "add_prefix_space" in step:
            step["add_prefix_space"] = False
        if step["type"] == "Metaspace":
            step["prepend_scheme"] = "always" if leading_blank else "never"
        if step["type"] == "Prepend" and not leading_blank:
            step["prepend"] = ""
    shell = FastTokenizer.from_str(json.dumps(edited))
    view = FastTokenizer(fast.model)
    if shell.normalizer is not None:
        view.normalizer = shell.normalizer
    if shell.pre_tokenizer is not None:
        view.pre_tokenizer = shell.pre_tokenizer
    added = fast.get_added_tokens_decoder()
    view.add_tokens([added[index] for index in sorted(added)])
    view.encode_special_tokens = True
    return view
