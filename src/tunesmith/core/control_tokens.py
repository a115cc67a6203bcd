"""What a user types stays text, even if it spells a control token.

`encode_special_tokens` keeps the tokenizer from cutting `</s>` out of a text before the model sees it. A Unigram model
holds the control tokens in its own vocabulary, though, and finds them again by itself. Such a text is cut inside the
control token, and its parts are read one after the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from tokenizers import Tokenizer as FastTokenizer


@dataclass(frozen=True, slots=True)
class TextReader:
    """A tokenizer that yields no control token, whatever the text."""

    fast: FastTokenizer
    """Reads a whole text, or the first part of one that was cut."""
    touching: FastTokenizer
    """Reads the parts behind a cut: nothing blank precedes them."""
    control: frozenset[int]

    def read(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text without special tokens."""
        encoded = [item.ids for item in self.fast.encode_batch_fast(list(texts), add_special_tokens=False)]
        return [
            ids if self.control.isdisjoint(ids) else self._apart(text, self.fast)
            for ids, text in zip(encoded, texts, strict=True)
        ]

    def _apart(self, text: str, view: FastTokenizer) -> list[int]:
        found = view.encode(text, add_special_tokens=False)
        spelt = zip(found.ids, found.offsets, strict=True)
        cuts = [start + 1 for index, (start, end) in spelt if index in self.control and end - start > 1]
        if not cuts:
            return list(found.ids)
        ids: list[int] = []
        for begin, end in pairwise([0, *cuts, len(text)]):
            ids += self._apart(text[begin:end], self.touching if begin else view)
        return ids


def control_ids(fast: FastTokenizer) -> frozenset[int]:
    """The ids of the special tokens that no text may produce. The unknown token is not among them: text does."""
    unknown = {"<unk>", "[UNK]"}
    added = fast.get_added_tokens_decoder()
    return frozenset(index for index, token in added.items() if token.special and token.content not in unknown)
