"""One label and the entities of a text, judged as one answer: right when the label and all entities are right.

The books of the labels and those of the entities are kept apart by a word before each statistic: a label of texts and
a type of entities may have the same name.

Reference: Chen et al. 2019 (JointBERT) call the joint accuracy "sentence-level semantic frame accuracy".
"""

from collections.abc import Sequence

from tunesmith.core.example import Span
from tunesmith.judge.metrics import labels, spans
from tunesmith.judge.metrics.counts import Column, Counts, Floats, ratio

LABEL, ENTITY = "label", "entity"
PARTS = (LABEL, ENTITY)
"""Whose books there are"""
_OF_SPANS = (
    *("span_f1", "span_precision", "span_recall", "span_macro_f1"),
    *("boundary_f1", "type_f1", "partial_f1"),
)
BEHIND = dict.fromkeys(_OF_SPANS, "entities")
"""The metrics of entities, and what counts those of both sides."""


def row(wanted: tuple[str, Sequence[Span]], said: tuple[str, Sequence[Span]]) -> dict[Column, float]:
    """What the answer to one text adds to the sums; each side is a label and entities."""
    (label, gold), (chosen, predicted) = wanted, said
    exact = label == chosen and set(gold) == set(predicted)
    sums: dict[Column, float] = {
        ("rows", ""): 1.0,
        ("joint", ""): float(exact),
        ("entities", ""): float(len({*gold, *predicted})),
    }
    books = {LABEL: labels.row(label, chosen), ENTITY: spans.row(gold, predicted)}
    for part, own in books.items():
        sums |= {(f"{part} {statistic}", name): value for (statistic, name), value in own.items()}
    return sums


def metrics(counts: Counts) -> dict[str, Floats]:
    """joint_accuracy; accuracy and macro F1 of the labels; the strict and lenient F1s of the entities; each [...]."""
    of_labels, of_spans = labels.metrics(counts.part(LABEL)), spans.metrics(counts.part(ENTITY))
    return {
        "joint_accuracy": ratio(counts.total("joint"), counts.total("rows")),
        "label_accuracy": of_labels["accuracy"],
        "label_macro_f1": of_labels["macro_f1"],
        **{name: of_spans[name] for name in _OF_SPANS},
    }
