"""Entities: strict scores, and how near the misses were.

Strict: a predicted entity is right when start, end and type all agree with a gold entity. These are seqeval's strict
mode and conlleval's counts. Three lenient scores say what errors the strict one hides; none is ever the headline:

    boundary_f1   start and end agree, the type may differ
    type_f1       the type agrees and the spans share a character
    partial_f1    an exact boundary counts 1, any other shared character 1/2, whatever the type

Spans of one side do not overlap each other (flat entities). Each gold entity is paired with at most one prediction.

References: Tjong Kim Sang and De Meulder 2003 (CoNLL-2003); Chinchor and Sundheim 1993 (MUC-5);
Segura-Bedmar et al. 2013 (SemEval-2013 task 9).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from tunesmith.core.example import Span
from tunesmith.judge.metrics.counts import Column, Counts, Floats, f1, macro_f1, ratio

Fate = Literal["correct", "label", "boundary", "both", "missed", "spurious"]
FATES: tuple[Fate, ...] = ("correct", "label", "boundary", "both", "missed", "spurious")


@dataclass(frozen=True, slots=True)
class Pairing:
    """One gold entity beside the prediction that answers for it; either may be missing."""

    gold: Span | None
    predicted: Span | None
    fate: Fate


def pairings(gold: Iterable[Span], predicted: Iterable[Span]) -> list[Pairing]:
    """Every entity of both sides exactly once, in order of the text, with what became of it."""
    wanted, said = set(gold), set(predicted)
    pairs = [Pairing(span, span, "correct") for span in wanted & said]
    left, right = sorted(wanted - said), sorted(said - wanted)
    for fate, same_border, same_label in (("label", True, False), ("boundary", False, True), ("both", False, False)):
        for first, second in _matches(left, right, same_border=same_border, same_label=same_label):
            pairs.append(Pairing(first, second, fate))  # type: ignore[arg-type]  # the tuple holds fates
            left.remove(first)
            right.remove(second)
    pairs += [Pairing(span, None, "missed") for span in left]
    pairs += [Pairing(None, span, "spurious") for span in right]
    return sorted(pairs, key=lambda pair: pair.gold or pair.predicted or Span(0, 0, ""))


def _matches(
    left: Sequence[Span], right: Sequence[Span], *, same_border: bool = False, same_label: bool = False
) -> list[tuple[Span, Span]]:
    """A largest pairing of overlapping spans, both sides sorted and flat: whoever ends first cannot wait."""
    found, i, j = [], 0, 0
    while i < len(left) and j < len(right):
        first, second = left[i], right[j]
        meet = first.start < second.end and second.start < first.end
        if same_border:
            meet = (first.start, first.end) == (second.start, second.end)
        if meet and not (same_label and first.label != second.label):
            found.append((first, second))
            i, j = i + 1, j + 1
        elif (first.end, first.start) <= (second.end, second.start):
            i += 1
        else:
            j += 1
    return found


def row(gold: Sequence[Span], predicted: Sequence[Span]) -> dict[Column, float]:
    """What the entities of one text add to the sums."""
    sums: dict[Column, float] = {("rows", ""): 1.0}

    def add(statistic: str, label: str = "", value: float = 1.0) -> None:
        sums[statistic, label] = sums.get((statistic, label), 0.0) + value

    for pair in pairings(gold, predicted):
        add(f"fate:{pair.fate}")
        if pair.gold is not None:
            add("gold", pair.gold.label)
        if pair.predicted is not None:
            add("predicted", pair.predicted.label)
        if pair.gold is not None and pair.fate == "correct":
            add("true_positive", pair.gold.label)
    add("exact", value=float(set(gold) == set(predicted)))
    if wrong := set(gold) ^ set(predicted):
        add("touching", value=float(len(_overlaps(gold, predicted))))
        add("same_type", value=float(len(_matches(*_sides(gold, predicted, wrong), same_label=True))))
    return sums


def _sides(gold: Iterable[Span], predicted: Iterable[Span], wrong: set[Span]) -> tuple[list[Span], list[Span]]:
    return sorted(set(gold) & wrong), sorted(set(predicted) & wrong)


def _overlaps(gold: Iterable[Span], predicted: Iterable[Span]) -> list[tuple[Span, Span]]:
    """A largest pairing of the spans that share characters but not both borders."""
    borders = {(s.start, s.end) for s in gold} & {(s.start, s.end) for s in predicted}
    left = sorted(s for s in set(gold) if (s.start, s.end) not in borders)
    right = sorted(s for s in set(predicted) if (s.start, s.end) not in borders)
    return _matches(left, right)


def metrics(counts: Counts) -> dict[str, Floats]:
    """Strict span_f1, span_precision, span_recall, span_macro_f1 over types; the lenient F1s; sentence_accuracy."""
    labels = counts.labels()
    hit, said, gold = (counts.by_label(name, labels) for name in ("true_positive", "predicted", "gold"))
    hits, total_said, total_gold = hit.sum(axis=0), said.sum(axis=0), gold.sum(axis=0)
    exact_border = hits + counts.total("fate:label")
    return {
        "span_f1": f1(hits, total_said, total_gold),
        "span_precision": ratio(hits, total_said),
        "span_recall": ratio(hits, total_gold),
        "span_macro_f1": macro_f1(hit, said, gold),
        "boundary_f1": f1(exact_border, total_said, total_gold),
        "type_f1": f1(hits + counts.total("same_type"), total_said, total_gold),
        "partial_f1": f1(exact_border + counts.total("touching") / 2, total_said, total_gold),
        "sentence_accuracy": ratio(counts.total("exact"), counts.total("rows")),
    }
