"""Fault 3: `B-` copied to every sub-word. One name becomes several entities, and the right answer scores 0."""

from tunesmith.core.example import Span
from tunesmith.prepare.alignment import spans_of

PIECES = [(0, 4), (4, 6), (6, 9)]
"""`Lindqvist` in three sub-words: lind, ##qv, ##ist."""


def entities(tags: list[str]) -> list[Span]:
    """What the tags say, read as every strict scorer reads them."""
    return spans_of(tags, PIECES)


if __name__ == "__main__":
    for name, tags in {"copied ": ["B-PERSON"] * 3, "correct": ["B-PERSON", "I-PERSON", "I-PERSON"]}.items():
        found = entities(tags)
        print(f"{name} {' '.join(tags):<28} {len(found)} entities: {['lindqvist'[s.start : s.end] for s in found]}")
    common = set(entities(["B-PERSON"] * 3)) & set(entities(["B-PERSON", "I-PERSON", "I-PERSON"]))
    print(f"entities on which the two agree: {len(common)}")
