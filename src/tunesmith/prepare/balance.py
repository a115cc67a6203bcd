"""How often each label occurs among training rows, and whether some are too rare to be learnt."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

from tunesmith.core.example import Example

RARE = 5
"""Examples below which a label can hardly be learnt."""
Balance = tuple[Literal["ok", "warn"], str, tuple[dict[str, Any], ...]]
"""A verdict, a sentence, and a row for each label"""


def balance(name: str, counts: Counter[str]) -> Balance:
    """What there is to say of the labels of a split, the most frequent first."""
    if not counts:
        return "ok", f"no label occurs in {name}", ()
    total = counts.total()
    rows = tuple({"label": label, "count": n, "share": round(n / total, 4)} for label, n in counts.most_common())
    rare = [label for label, n in counts.items() if n < RARE]
    (top, most), least = counts.most_common(1)[0], min(counts.values())
    shares = f"{top!r} is the most frequent ({most / total:.0%}), ratio {most / least:.3g}:1"
    summary = f"{len(counts)} labels in {name}; {shares}"
    if rare:
        return "warn", f"{summary}; {len(rare)} label(s) have fewer than {RARE} examples", rows
    return "ok", summary, rows


def spread(name: str, examples: Sequence[Example]) -> Balance:
    """What there is to say of scores, where a split has such."""
    scores = [example.gold for example in examples if isinstance(example.gold, float)]
    if not scores:
        return balance(name, Counter())
    return "ok", f"scores from {min(scores):g} to {max(scores):g}, mean {sum(scores) / len(scores):.3g}", ()
