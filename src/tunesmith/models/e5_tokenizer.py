"""The fast tokenizer of `starter:multilingual`, rebuilt from the pieces in its file.

The file's character map is NFKC, with control characters dropped, odd spaces made plain, and U+FF5E (the full-width
tilde, a piece of its own) kept: that is said here in four normalisation steps instead of thousands of entries.
"""

import unicodedata
from collections.abc import Iterable

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from tunesmith.models.e5_file import Pieces

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
_TILDE, _PARKED = "\uff5e", "\ue0ff"  # a private code point carries the tilde past NFKC


def tokenizer_json(pieces: Pieces) -> str:
    """A `tokenizer.json` that gives the file's ids: one text is `<s> A </s>`, a pair `<s> A </s> </s> B </s>`."""
    fast = Tokenizer(models.Unigram(pieces.scored, unk_id=pieces.unknown, byte_fallback=False))
    fast.normalizer = _normalizer(pieces.characters)
    fast.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    fast.decoder = decoders.Metaspace(prepend_scheme="always")
    fast.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", pieces.bos), ("</s>", pieces.eos)],
    )
    fast.add_special_tokens(
        [AddedToken(token, special=True, normalized=False, lstrip=token == "<mask>") for token in SPECIAL]
    )
    text: str = fast.to_str()
    return text


def _normalizer(characters: dict[str, str]) -> normalizers.Normalizer:
    dropped = [character for character, target in characters.items() if not target]
    spaces = [
        character
        for character, target in characters.items()
        if target == " " and unicodedata.normalize("NFKC", character) != " "
    ]
    return normalizers.Sequence(
        [
            normalizers.Replace(_any_of(dropped), ""),
            normalizers.Replace(_any_of(spaces), " "),
            normalizers.Replace(_TILDE, _PARKED),
            normalizers.NFKC(),
            normalizers.Replace(_PARKED, _TILDE),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )


def _any_of(characters: Iterable[str]) -> Regex:
    return Regex("[" + "".join(f"\\x{{{ord(character):x}}}" for character in characters) + "]")
