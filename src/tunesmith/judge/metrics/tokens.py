"""What counts as a word of a written answer: that depends on the script, and every metric has its own tradition.

A row is written in the script of its references. Chinese has no blanks, so each character is a word; rouge_score sees
nothing but a-z and 0-9, so other alphabets need words of their own. For a text without blanks that is not Chinese
(Japanese, Thai) the metrics over words say little; chrF counts characters and holds for all of them.

References: Post 2018, A Call for Clarity in Reporting BLEU Scores (sacrebleu's tokenizers 13a and zh); Lin 2004, ROUGE.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Literal, TypeVar

from tunesmith.prepare.audit import mostly_chinese
from tunesmith.prepare.characters import pattern

Script = Literal["chinese", "latin", "other"]
Grams = Counter[tuple[str, ...]]
T = TypeVar("T", str, tuple[str, ...])

# As in sacrebleu 2.6. The first range is wider than meant there (quotes and dashes stand in it), and kept: a BLEU
# that is not the field's own cannot be compared with anything.
_CHINESE = re.compile(
    "([\u2001-\u2a6d\u2e80-\u2fdf\u2ff0-\u303f\u3100-\u312f\u31a0-\u31bf\u31c0-\u31ef\u3200-\u4db5\u4e00-\u9fbb"
    "\uf900-\ufa2d\ufa30-\ufa6a\ufa70-\ufad9\ufe10-\ufe1f\ufe30-\ufe4f\uff00-\uffef])"
)
_SIGN = re.compile(r"([\{-\~\[-\` -\&\(-\+\:-\@\/])")
_POINT_NOT_AFTER_DIGIT = re.compile(r"([^0-9])([\.,])")
_POINT_NOT_BEFORE_DIGIT = re.compile(r"([\.,])([^0-9])")
_DASH_AFTER_DIGIT = re.compile(r"([0-9])(-)")
_ENTITIES = (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))
_PLAIN_WORD = re.compile(r"[a-z0-9]+")


def script_of(texts: Sequence[str]) -> Script:
    """What most letters of the texts belong to; "latin" where there is no letter."""
    if all(text.isascii() for text in texts):
        return "latin"
    if mostly_chinese(texts):
        return "chinese"
    letters = [character.isascii() for text in texts for character in text if character.isalpha()]
    return "latin" if 2 * sum(letters) >= len(letters) else "other"


def bleu_words(text: str, script: Script) -> list[str]:
    """The words that BLEU counts: sacrebleu's `zh` for Chinese, its default `13a` for everything else."""
    if script == "chinese":
        return _split_signs(_CHINESE.sub(r" \1 ", text.strip()))
    text = text.rstrip().replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    for entity, sign in _ENTITIES:
        text = text.replace(entity, sign)
    return _split_signs(f" {text} ")


def _split_signs(text: str) -> list[str]:
    text = _SIGN.sub(r" \1 ", text)
    text = _POINT_NOT_AFTER_DIGIT.sub(r"\1 \2 ", text)
    text = _POINT_NOT_BEFORE_DIGIT.sub(r" \1 \2", text)
    return _DASH_AFTER_DIGIT.sub(r"\1 \2 ", text).split()


def rouge_words(text: str, script: Script) -> list[str]:
    """The words that ROUGE counts: rouge_score's without stemming; in other scripts words, in Chinese characters."""
    if script == "latin":
        return _PLAIN_WORD.findall(text.lower())
    return [word for word in pattern("words").findall(text.lower()) if word[0].isalnum()]


def shared(first: Counter[T], second: Counter[T]) -> int:
    """How many members two multisets have in common."""
    both = first.keys() & second.keys()
    return sum(map(min, map(first.__getitem__, both), map(second.__getitem__, both)))


def grams(words: Sequence[str], size: int) -> Grams:
    """How often each run of `size` words occurs."""
    return Counter(zip(*(words[start:] for start in range(size)), strict=False))
