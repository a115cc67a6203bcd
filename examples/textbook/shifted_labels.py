"""Fault 2: labels shifted by sub-words. One tag a word, laid onto `[CLS]` and sub-words, hits the wrong places."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tunesmith.core.example import Example, Source, Span
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.models.checkpoint import locate
from tunesmith.prepare.alignment import tags_of, units_of, words_of
from tunesmith.prepare.certificate import Certificate, certify

SAMPLE = Path(__file__).parents[2] / "samples" / "support_en" / "train.jsonl"
LEVEL = "words"


@dataclass(frozen=True)
class Shift:
    """`right` of `entities` entities still lie on their own sub-words when tags are laid out by position."""

    entities: int
    right: int


def tokenizer() -> Tokenizer:
    """The English starter's own."""
    found = locate("starter:english")
    return Tokenizer(found.tokenizer_file, max_length=int(found.config["max_position_embeddings"]))


def examples() -> Iterator[Example]:
    """The sample's messages with their entities."""
    for number, line in enumerate(SAMPLE.read_text(encoding="utf-8").splitlines(), 1):
        row = json.loads(line)
        spans = tuple(Span(**entity) for entity in row["entities"])
        yield Example(id=row["id"], text=row["text"], gold=spans, source=Source(str(SAMPLE), number))


def laid_out(example: Example, tokens: Tokenizer) -> list[tuple[str, str, str]]:
    """(word of the sub-word, the textbook's tag, the right tag) for `[CLS]` and every sub-word of a message."""
    units = units_of(example.text, LEVEL)
    gold = example.gold if isinstance(example.gold, tuple) else ()
    tags, _ = tags_of([span for span in gold if isinstance(span, Span)], units, "BIO")
    pieces = tokens.words(words_of(example.text, units))
    owner = [None, *(index for index, ids in enumerate(pieces) for _ in ids)]
    rows = []
    for position, unit in enumerate(owner):
        textbook = tags[position] if position < len(tags) else "O"
        word = "[CLS]" if unit is None else example.text[slice(*units[unit])]
        rows.append((word, textbook, "O" if unit is None else tags[unit]))
    return rows


def shift(tokens: Tokenizer) -> Shift:
    """How many entities of the sample keep the tag of their first sub-word under the textbook's layout."""
    entities = right = 0
    for example in examples():
        last = None
        for word, textbook, wanted in laid_out(example, tokens):
            begins = wanted.startswith("B-") and (word, wanted) != last
            entities += begins
            right += begins and textbook == wanted
            last = (word, wanted)
    return Shift(entities, right)


def certificate(tokens: Tokenizer) -> Certificate:
    """The same entities sent through Tunesmith's layout and back."""
    return certify(examples(), tokens, level=LEVEL, scheme="BIO")


if __name__ == "__main__":
    starter = tokenizer()
    shown = next(example for example in examples() if example.text.startswith("Please send TR-44871"))
    print(shown.text)
    print(f"  {'sub-word of':<12} {'textbook':<12} right")
    for word, textbook, wanted in laid_out(shown, starter):
        print(f"  {word:<12} {textbook:<12} {wanted}{'' if textbook == wanted else '   <- wrong'}")
    found = shift(starter)
    print(f"textbook layout: {found.right} of {found.entities} entities begin on the right sub-word")
    proof = certificate(starter)
    print(f"Tunesmith: {proof.exact} of {proof.total} entities survive exactly, {proof.repaired + proof.lossy} do not")
