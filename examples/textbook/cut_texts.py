"""Fault 6: texts cut before scoring. What lies behind the cut leaves the gold as well, so nobody sees it was missed."""

from dataclasses import dataclass

from shifted_labels import LEVEL, examples, tokenizer

from tunesmith.core.example import Span
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.prepare.alignment import tags_of, units_of, words_of

WINDOW = 16
"""Sub-words kept, a small window so that the short sample shows what a 512 window does to long documents."""


@dataclass(frozen=True)
class Cut:
    """A perfect model that sees only the window: recall over what it saw, and over what people labelled."""

    recall_textbook: float
    recall_true: float


def perfect_but_cut(tokens: Tokenizer) -> Cut:
    """Score a model that finds every entity whose first sub-word is inside the window."""
    labelled = seen = 0
    for example in examples():
        units = units_of(example.text, LEVEL)
        gold = example.gold if isinstance(example.gold, tuple) else ()
        tags, _ = tags_of([span for span in gold if isinstance(span, Span)], units, "BIO")
        pieces = tokens.words(words_of(example.text, units))
        starts = [sum(map(len, pieces[:index])) for index in range(len(units))]
        begins = [start for start, tag in zip(starts, tags, strict=True) if tag.startswith("B-")]
        labelled += len(begins)
        seen += sum(start < WINDOW for start in begins)
    return Cut(recall_textbook=1.0, recall_true=seen / labelled)


if __name__ == "__main__":
    found = perfect_but_cut(tokenizer())
    print(f"a perfect model behind a window of {WINDOW} sub-words:")
    print(f"  recall as the textbook counts it, gold cut as well   {found.recall_textbook:.3f}")
    print(f"  recall over the entities that people labelled        {found.recall_true:.3f}")
