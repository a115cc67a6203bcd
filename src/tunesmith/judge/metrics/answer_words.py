"""Short answers: the same words, or how many of them. What is no content is dropped first.

Latin and other scripts as SQuAD does it: small letters, no ASCII punctuation, no articles, words at blanks; F1 over the
words that both have, however they stand. Chinese as CMRC 2018 does it: small letters, the punctuation of its script
dropped, each ideograph a word; F1 over the longest run of words that both have. CMRC cuts what is no ideograph with
nltk; here runs of letters and digits (with points inside) and single signs are the words, which differs in little but
English contractions.

References: Rajpurkar et al. 2016 and 2018, SQuAD and SQuAD 2.0 (evaluate-v2.0.py); Cui et al. 2019, A Span-Extraction
Dataset for Chinese Machine Reading Comprehension (cmrc2018_evaluate.py).
"""

import re
import string
from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher

from tunesmith.judge.metrics.tokens import Script, shared

_ARTICLE = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
_NO_CHINESE_PUNCTUATION = str.maketrans("", "", "-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
_LETTER = r"[^\W_\u4e00-\u9fa5]"
_CHINESE_WORD = re.compile(rf"[\u4e00-\u9fa5]|{_LETTER}+(?:[.,]{_LETTER}+)*|[^\w\s]")


def exact_match(references: Sequence[str], said: str, script: Script) -> float:
    """1 where the answer is one of the references but for what is dropped, else 0."""
    return float(_plain(said, script) in {_plain(reference, script) for reference in references})


def token_f1(references: Sequence[str], said: str, script: Script) -> float:
    """The F1 of the answer's words with those of the best reference; two answers without a word agree."""
    own = _words(said, script)
    return max(_f1(_words(reference, script), own, script) for reference in references)


def _plain(text: str, script: Script) -> str:
    if script == "chinese":
        return text.lower().strip().translate(_NO_CHINESE_PUNCTUATION)
    return " ".join(_ARTICLE.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def _words(text: str, script: Script) -> list[str]:
    plain = _plain(text, script)
    return _CHINESE_WORD.findall(plain) if script == "chinese" else plain.split()


def _f1(gold: list[str], said: list[str], script: Script) -> float:
    if not gold or not said:
        return float(gold == said)
    if script == "chinese":
        common = SequenceMatcher(None, gold, said, autojunk=False).find_longest_match().size
    else:
        common = shared(Counter(gold), Counter(said))
    return 2 * common / (len(gold) + len(said))
