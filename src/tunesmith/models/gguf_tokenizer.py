"""`tokenizer.json` from the vocabulary in a GGUF file: byte-level BPE, or the BPE of SentencePiece.

A file names how its texts are cut before they are merged (`tokenizer.ggml.pre`). A name that is not in the table below
is refused: with a wrong cut a model reads other tokens than it was taught, and nothing else would tell.
"""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any, Final

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

_CONTROL, _USER_DEFINED = 3, 4
_GPT2: Final = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_LLAMA3: Final = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_CUTS: Final = {
    "gpt-2": _GPT2,
    "smollm": _GPT2,
    "llama-bpe": _LLAMA3,
    "qwen2": _LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}"),
    "deepseek-r1-qwen": _LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}"),
}
"""Names of llama.cpp to the expression whose matches are merged each for itself"""
_DIGITS_APART: Final = ("smollm",)
_COMPOSED: Final = ("qwen2", "deepseek-r1-qwen")
"""Where letters and their accents are joined first (NFC)"""
_WHOLE_FIRST: Final = ("llama-bpe",)
"""Where a match that is a piece as it stands is not merged anew"""


def tokenizer_json(values: Mapping[str, Any]) -> str:
    """The tokenizer that gives the file's ids.

    Raises:
        ValueError: no vocabulary, of another kind, or one that contradicts itself.
    """
    tokens = _strings(values, "tokenizer.ggml.tokens")
    if len(set(tokens)) != len(tokens):
        raise ValueError("its vocabulary holds a token twice")
    match values.get("tokenizer.ggml.model"):
        case "gpt2":
            fast = _byte_level(values, tokens)
        case "llama":
            fast = _sentencepiece(values, tokens)
        case other:
            raise ValueError(f"its tokenizer is of the kind {str(other)[:40]!r}, not gpt2 or llama")
    kinds = values.get("tokenizer.ggml.token_type", [])
    for token, kind in zip(tokens, kinds, strict=False):
        if kind in (_CONTROL, _USER_DEFINED):
            fast.add_tokens([AddedToken(token, special=kind == _CONTROL, normalized=False)])
    begin = token_named(values, "bos")
    if begin is not None and values.get("tokenizer.ggml.add_bos_token", values["tokenizer.ggml.model"] == "llama"):
        ids = [(begin, tokens.index(begin))]
        fast.post_processor = processors.TemplateProcessing(
            single=f"{begin} $A", pair=f"{begin} $A {begin} $B", special_tokens=ids
        )
    text: str = fast.to_str()
    return text


def token_named(values: Mapping[str, Any], role: str) -> str | None:
    """The token that the file calls `bos`, `eos`, `unknown` or `padding`."""
    tokens, index = values.get("tokenizer.ggml.tokens", ()), values.get(f"tokenizer.ggml.{role}_token_id")
    return str(tokens[index]) if isinstance(index, int) and 0 <= index < len(tokens) else None


def _byte_level(values: Mapping[str, Any], tokens: Sequence[str]) -> Tokenizer:
    name = str(values.get("tokenizer.ggml.pre"))
    if name not in _CUTS:
        raise ValueError(f"its texts are cut in the way {name[:40]!r}, not one of {', '.join(sorted(_CUTS))}")
    merges = [tuple(merge.split(" ")) for merge in _strings(values, "tokenizer.ggml.merges")]
    ids = {token: index for index, token in enumerate(tokens)}
    fast = Tokenizer(models.BPE(ids, _checked(merges, ids), ignore_merges=name in _WHOLE_FIRST))
    if name in _COMPOSED:
        fast.normalizer = normalizers.NFC()
    digits = [pre_tokenizers.Digits(individual_digits=True)] if name in _DIGITS_APART else []
    fast.pre_tokenizer = pre_tokenizers.Sequence(
        [
            *digits,
            pre_tokenizers.Split(Regex(_CUTS[name]), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    fast.decoder = decoders.ByteLevel()
    return fast


def _sentencepiece(values: Mapping[str, Any], tokens: Sequence[str]) -> Tokenizer:
    """Pieces with scores; the higher the score of a piece, the earlier its halves are merged."""
    scores = values.get("tokenizer.ggml.scores")
    if not isinstance(scores, list) or len(scores) != len(tokens):
        raise ValueError("its pieces have no scores")
    ids = {token: index for index, token in enumerate(tokens)}
    cuts = (
        (-score, -cut, cut - len(token), token[:cut], token[cut:])
        for token, score in zip(tokens, scores, strict=True)
        for cut in range(1, len(token))
        if token[:cut] in ids and token[cut:] in ids
    )
    halves = [(cut[-2], cut[-1]) for cut in sorted(cuts, key=itemgetter(0, 1, 2))]
    unknown = token_named(values, "unknown") or "<unk>"
    fast = Tokenizer(models.BPE(ids, halves, unk_token=unknown, fuse_unk=True, byte_fallback=True))
    blank = values.get("tokenizer.ggml.add_space_prefix", True)
    fast.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first" if blank else "never", split=False)
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    fast.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)] if blank else steps)
    return fast


def _checked(merges: Sequence[tuple[str, ...]], ids: Mapping[str, int]) -> list[tuple[str, str]]:
    pairs = [(merge[0], merge[1]) for merge in merges if len(merge) == 2]
    if len(pairs) != len(merges) or any(a not in ids or b not in ids or a + b not in ids for a, b in pairs):
        raise ValueError("a merge is of tokens that its vocabulary does not hold")
    return pairs


def _strings(values: Mapping[str, Any], key: str) -> list[str]:
    found = values.get(key)
    if not isinstance(found, list) or not found or not all(isinstance(item, str) for item in found):
        raise ValueError(f"it has no {key}")
    return found
