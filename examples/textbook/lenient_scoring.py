"""Fault 4: lenient scoring. The default of a common scorer accepts tags that its own scheme forbids."""

from dataclasses import dataclass

from seqeval.metrics import f1_score
from seqeval.scheme import IOB2

GOLD = [["B-PERSON", "I-PERSON", "O"]]
SAID = [["I-PERSON", "I-PERSON", "O"]]
"""A model that never learnt how an entity begins."""


@dataclass(frozen=True)
class Modes:
    """F1 of the same answer."""

    lenient: float
    strict: float


def both_modes() -> Modes:
    """seqeval in its default mode, and told to be strict about IOB2."""
    return Modes(
        lenient=float(f1_score(GOLD, SAID)),
        strict=float(f1_score(GOLD, SAID, mode="strict", scheme=IOB2, zero_division=0)),
    )


if __name__ == "__main__":
    found = both_modes()
    print(f"gold {GOLD[0]}\nsaid {SAID[0]}")
    print(f"  seqeval, default mode         F1 {found.lenient:.1f}")
    print(f"  seqeval, strict mode, IOB2    F1 {found.strict:.1f}")
