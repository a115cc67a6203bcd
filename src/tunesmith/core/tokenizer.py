"""A fast tokenizer with what a fine-tuner must know about it: how texts are framed, and where a word's pieces begin.

Words are tokenised one at a time and remembered, so that a label can never straddle two words and a word costs a
dictionary look-up the second time. A control token typed by a user (`[SEP]`) stays text.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer as FastTokenizer

from tunesmith.core.errors import MissingInputError, ModelFileError, Place


@dataclass(frozen=True, slots=True)
class Framing:
    """The special tokens around one text or a pair: `prefix A suffix`, or `prefix A middle B suffix`."""

    prefix: tuple[int, ...]
    middle: tuple[int, ...]
    suffix: tuple[int, ...]
    pair_suffix: tuple[int, ...]
    segments: bool
    """Whether the second text of a pair carries segment id 1 (BERT) or not (RoBERTa)."""


class Tokenizer:
    """A `tokenizer.json` and the longest window a model takes."""

    def __init__(self, file: Path, *, max_length: int) -> None:
        """Read `file`; `max_length` counts tokens with special tokens.

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
                f"not a readable tokenizer: {error}", code="TS-MODEL-011", place=Place(file=str(file))
            ) from None
        self._fast.no_padding()
        self._fast.no_truncation()
        self._fast.encode_special_tokens = True
        self.max_length = max_length
        self.framing = _framing(self._fast)
        self.vocabulary_size: int = self._fast.get_vocab_size(with_added_tokens=True)
        self.unknown_id = _unknown_id(self._fast, self.serialized)
        self._space_is_a_piece = _space_is_a_piece(self.serialized)
        self._pieces: dict[tuple[str, bool], tuple[int, ...]] = {}

    @property
    def fingerprint(self) -> str:
        """sha256 of the tokenizer file."""
        return hashlib.sha256(self.serialized).hexdigest()

    def texts(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of whole texts without special tokens."""
        encoded = self._fast.encode_batch_fast(list(texts), add_special_tokens=False)
        return [item.ids for item in encoded]

    def words(self, words: Sequence[tuple[str, bool]]) -> list[tuple[int, ...]]:
        """Token ids of single words, never empty. Each word comes with whether a blank (or the text's start) precedes it."""
        missing = list({word for word in words if word not in self._pieces})
        if missing:
            for word, ids in zip(missing, self._encode_words(missing), strict=True):
                self._pieces[word] = ids or (self.unknown_id,)
        return [self._pieces[word] for word in words]

    def _encode_words(self, words: Sequence[tuple[str, bool]]) -> list[tuple[int, ...]]:
        if not self._space_is_a_piece:
            encoded = self._fast.encode_batch_fast([word for word, _ in words], add_special_tokens=False)
            return [tuple(item.ids) for item in encoded]
        # A marker word in front makes byte-BPE and Unigram treat the word exactly as in running text.
        marked = [f"a {word}" if blank else f"a{word}" for word, blank in words]
        plain = self._fast.encode_batch_fast([word for word, _ in words], add_special_tokens=False)
        inside = self._fast.encode_batch([text for text in marked], add_special_tokens=False)
        return [
            _after_marker(context.ids, context.offsets, alone.ids, start=2 if blank else 1)
            for (_, blank), context, alone in zip(words, inside, plain, strict=True)
        ]


def _after_marker(
    ids: list[int], offsets: list[tuple[int, int]], alone: list[int], *, start: int
) -> tuple[int, ...]:
    """The pieces behind the marker word, or those of the word alone where a piece straddles the border."""
    kept = [index for index, (_, end) in enumerate(offsets) if end >= start and end > 1]
    if kept and offsets[kept[0]][0] >= 1:
        return tuple(ids[kept[0] :])
    return tuple(alone)


def _framing(fast: FastTokenizer) -> Framing:
    """Read the frame off two probes, so that no template has to be parsed."""
    bare = fast.encode("a", add_special_tokens=False).ids
    single = fast.encode("a")
    pair = fast.encode("a", "a")
    width = len(bare)
    if not width:
        raise ModelFileError("the tokenizer knows no token for the letter 'a'", code="TS-MODEL-012")
    first = single.ids.index(bare[0])
    second = len(pair.ids) - pair.ids[::-1].index(bare[-1]) - width
    return Framing(
        prefix=tuple(single.ids[:first]),
        middle=tuple(pair.ids[first + width : second]),
        suffix=tuple(single.ids[first + width :]),
        pair_suffix=tuple(pair.ids[second + width :]),
        segments=any(pair.type_ids),
    )


def _unknown_id(fast: FastTokenizer, serialized: bytes) -> int:
    model = json.loads(serialized)["model"]
    token = model.get("unk_token")
    if token is not None and (found := fast.token_to_id(token)) is not None:
        return int(found)
    if (index := model.get("unk_id")) is not None:
        return int(index)
    fallback = next((fast.token_to_id(name) for name in ("<unk>", "[UNK]", "<|endoftext|>") if fast.token_to_id(name) is not None), 0)
    return int(fallback)


def _space_is_a_piece(serialized: bytes) -> bool:
    """Byte-level BPE and Metaspace write the blank into the piece that follows it; WordPiece drops it."""
    return b'"ByteLevel"' in serialized or b'"Metaspace"' in serialized
