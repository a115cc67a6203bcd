"""A fast tokenizer with what a fine-tuner must know about it: how texts are framed, and where a word's pieces begin.

Words are tokenised one at a time and remembered, so that a label can never straddle two words and a word costs a
dictionary look-up the second time. A control token typed by a user (`[SEP]`) stays text.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from tokenizers import Tokenizer as FastTokenizer

from tunesmith.core.chat_template import ChatTemplate
from tunesmith.core.control_tokens import TextReader
from tunesmith.core.errors import MissingInputError, ModelFileError, Place
from tunesmith.core.segments import SegmentReader
from tunesmith.core.word_pieces import WordReader, begins_anew, word_reader

REMEMBERED_WORDS = 200_000
"""Word types kept in memory, about 50 MB; beyond it the memory starts afresh."""
REMEMBERED_LENGTH = 64
"""Characters; longer words are rare and large, so they are tokenised anew each time."""


@dataclass(frozen=True, slots=True)
class Framing:
    """The special tokens around one text or a pair: `prefix A suffix`, or `prefix A middle B pair_suffix`."""

    prefix: tuple[int, ...]
    middle: tuple[int, ...]
    suffix: tuple[int, ...]
    pair_suffix: tuple[int, ...]
    segments: bool
    """Whether the second text of a pair carries segment id 1 (BERT) or not (RoBERTa)."""

    @property
    def alone(self) -> int:
        """Special tokens around one text."""
        return len(self.prefix) + len(self.suffix)

    @property
    def paired(self) -> int:
        """Special tokens around and between two texts."""
        return len(self.prefix) + len(self.middle) + len(self.pair_suffix)


class Tokenizer:
    """A `tokenizer.json` and the longest window a model takes."""

    def __init__(
        self, file: Path, *, max_length: int, causal: bool = False, template: ChatTemplate | None = None
    ) -> None:
        """Read `file`; `max_length` counts tokens with special tokens.

        For a `causal` model a window is read at its last token, and a word at its last piece: only those have seen
        all of it. `template` is how it was taught to see a conversation.

        Raises:
            MissingInputError: no such file.
            ModelFileError: not a tokenizer, or one without a word.
        """
        if not file.is_file():
            raise MissingInputError(
                "there is no fast tokenizer here",
                code="TS-MODEL-010",
                place=Place(file=str(file)),
                fix="save one with AutoTokenizer.from_pretrained(...).save_pretrained(folder).",
            )
        self.serialized = file.read_bytes()
        try:
            self._fast = FastTokenizer.from_str(self.serialized.decode("utf-8"))
        except Exception as error:  # the library raises bare Exception for any damage
            raise ModelFileError(
                f"not a readable tokenizer: {error}",
                code="TS-MODEL-011",
                place=Place(file=str(file)),
                fix="copy or download it again, or save it anew with AutoTokenizer.from_pretrained(...)"
                ".save_pretrained(folder).",
            ) from None
        self._fast.no_padding()
        self._fast.no_truncation()
        self._fast.encode_special_tokens = True
        self.max_length = max_length
        self.causal = causal
        self.template = template
        self.framing = _framing(self._fast)
        if causal and not self.framing.middle:
            between = tuple(self._fast.encode("\n", add_special_tokens=False).ids)
            self.framing = replace(self.framing, middle=between)  # else nobody could tell where a second text begins
        self.vocabulary_size: int = self._fast.get_vocab_size(with_added_tokens=True)
        self.unknown_id = _unknown_id(self._fast, self.serialized)
        self.mask_id = _mask_id(self._fast)
        self._pieces: dict[tuple[str, bool], tuple[int, ...]] = {}

    @property
    def fingerprint(self) -> str:
        """sha256 of the tokenizer file."""
        return hashlib.sha256(self.serialized).hexdigest()

    @property
    def room(self) -> int:
        """Tokens of a window that are left for one text beside its special tokens."""
        return self.max_length - self.framing.alone

    def framed(self, ids: Sequence[int]) -> tuple[int, ...]:
        """The window of one text with these tokens, never empty: a text without any is one unknown token."""
        return (*self.framing.prefix, *ids, *self.framing.suffix) or (self.unknown_id,)

    def texts(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of whole texts without special tokens. Half a surrogate pair is read as U+FFFD."""
        reader = TextReader(self._fast, self._reader.touching.fast, self._reader.touching.control)
        return reader.read([encodable(text) for text in texts])

    def text(self, ids: Sequence[int]) -> str:
        """What token ids say; control tokens among them say nothing."""
        said: str = self._fast.decode(list(ids), skip_special_tokens=True)
        return said

    def shown(self, token: int) -> str:
        """What a token stands for, as it would be written, a blank before it included where it has one."""
        return str(self._fast.decode([token], skip_special_tokens=False))

    def stretches(self, stretches: Sequence[tuple[str, bool]]) -> list[tuple[int, ...]]:
        """Token ids of stretches of a running text, each with whether a blank precedes it; maybe none."""
        return [tuple(ids) for ids in self._reader.running([(encodable(text), blank) for text, blank in stretches])]

    def words(self, words: Sequence[tuple[str, bool]]) -> list[tuple[int, ...]]:
        """Token ids of single words, never empty. Each comes with whether a blank (or the text's start) precedes it.

        The ids are those of the word in a running text, so far as a text has a token border there, without a
        leading piece that is nothing but the blank (`word_pieces`). A word that the tokenizer drops is unknown.
        """
        known = self._pieces if len(self._pieces) < REMEMBERED_WORDS else {}
        missing = list({word for word in words if word not in known})
        if not missing:
            return [known[word] for word in words]
        read = self._reader.read([(encodable(text), blank) for text, blank in missing])
        fresh = {word: ids or (self.unknown_id,) for word, ids in zip(missing, read, strict=True)}
        found = [known.get(word) or fresh[word] for word in words]
        known.update((word, ids) for word, ids in fresh.items() if len(word[0]) <= REMEMBERED_LENGTH)
        self._pieces = known
        return found

    @cached_property
    def segments(self) -> SegmentReader:
        """The reader of texts in which control tokens stand: what a template wrote, never what a user typed."""
        return SegmentReader(self._fast, self._reader.touching.fast, anew=begins_anew(self._fast))

    @cached_property
    def _reader(self) -> WordReader:
        return word_reader(self._fast)


def encodable(text: str) -> str:
    """The text with every lone surrogate replaced: the library refuses what UTF-8 cannot write."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return "".join("\ufffd" if "\ud800" <= character <= "\udfff" else character for character in text)
    return text


def _framing(fast: FastTokenizer) -> Framing:
    """Read the frame off two probes, so that no template has to be parsed."""
    probe = next((text for text in ("a", "A", "1", "的") if fast.encode(text, add_special_tokens=False).ids), None)
    if probe is None:
        raise ModelFileError(
            "the tokenizer knows no token for the letter 'a'",
            code="TS-MODEL-012",
            fix="take the tokenizer.json that the model was trained with.",
        )
    bare = fast.encode(probe, add_special_tokens=False).ids
    single = fast.encode(probe)
    pair = fast.encode(probe, probe)
    width = len(bare)
    first = _find(single.ids, bare)
    second = len(pair.ids) - _find(pair.ids[::-1], bare[::-1]) - width
    return Framing(
        prefix=tuple(single.ids[:first]),
        middle=tuple(pair.ids[first + width : second]),
        suffix=tuple(single.ids[first + width :]),
        pair_suffix=tuple(pair.ids[second + width :]),
        segments=any(pair.type_ids),
    )


def _find(ids: list[int], part: list[int]) -> int:
    return next(index for index in range(len(ids)) if ids[index : index + len(part)] == part)


def _mask_id(fast: FastTokenizer) -> int | None:
    """The token that stands for what is hidden, where the tokenizer has one."""
    known = (fast.token_to_id(name) for name in ("[MASK]", "<mask>"))
    return next((int(index) for index in known if index is not None), None)


def _unknown_id(fast: FastTokenizer, serialized: bytes) -> int:
    model = json.loads(serialized)["model"]
    token = model.get("unk_token")
    if token is not None and (found := fast.token_to_id(token)) is not None:
        return int(found)
    if (index := model.get("unk_id")) is not None:
        return int(index)
    known = (fast.token_to_id(name) for name in ("<unk>", "[UNK]", "<|endoftext|>"))
    return next((int(index) for index in known if index is not None), 0)
