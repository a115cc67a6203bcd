"""Which labels examples carry: read once from the training rows, checked at each row's line."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tunesmith.core.errors import ConfigError, DataError, Place
from tunesmith.core.example import Example
from tunesmith.tasks._losses import balanced_class_weights, balanced_positive_weights

ClassWeights = Literal["none", "balanced"] | list[float]


@dataclass(frozen=True, slots=True)
class Inventory:
    """The labels in logit order, how many examples carry each, and whether an example may carry several."""

    labels: list[str]
    counts: list[int]
    several: bool
    examples: int

    def shares(self) -> list[float]:
        """The share of examples that carry each label, half an example added on either side: never 0 or 1."""
        return [(count + 0.5) / (self.examples + 1) for count in self.counts]


def inventory(examples: Iterable[Example], *, given: Sequence[str] | None, several: bool | None) -> Inventory:
    """Count the labels of the examples that have gold. Labels that are not `given` are sorted.

    Raises:
        DataError: at the first row whose gold does not fit; no gold at all; one class only.
        ConfigError: the given list names a label twice.
    """
    if given is not None and len(set(given)) < len(given):
        twice = next(label for label in given if given.count(label) > 1)
        raise ConfigError(
            f"{twice!r} is named twice", code="TS-TASK-026", place=Place(key="task.labels"), fix="name it once."
        )
    counts: Counter[str] = Counter()
    total, sets = 0, False
    known = frozenset(given or ())
    for example in examples:
        if example.gold is None:
            continue
        found = labels_of(example) if several is not False else (one_label(example),)
        unknown = next((label for label in found if known and label not in known), None)
        if unknown is not None:
            raise unknown_label(example, unknown)
        counts.update(found)
        total += 1
        sets = sets or isinstance(example.gold, tuple)
    labels = list(given) if given else sorted(counts)
    _check(labels, total, several=sets if several is None else several)
    return Inventory(labels, [counts[label] for label in labels], sets if several is None else several, total)


def labels_of(example: Example) -> tuple[str, ...]:
    """The labels of an example with gold, each once.

    Raises:
        DataError: the gold is a score or consists of entities.
    """
    gold = example.gold
    if isinstance(gold, str):
        return (gold,)
    if isinstance(gold, tuple):
        names = tuple(dict.fromkeys(item for item in gold if isinstance(item, str)))
        if len(names) == len(set(gold)):
            return names
    kind = "a score" if isinstance(gold, float | int) else "entities"
    instead = "token_classification" if kind == "entities" else "pair_matching"
    raise unusable(
        example, f"the row carries {kind}, a label is needed", code="TS-TASK-020", fix=f'set task.kind = "{instead}".'
    )


def one_label(example: Example) -> str:
    """The only label of an example with gold.

    Raises:
        DataError: it carries none, several, a score or entities.
    """
    names = labels_of(example)
    if len(names) == 1:
        return names[0]
    raise unusable(
        example,
        f"the row carries {len(names)} labels where exactly one is needed",
        code="TS-TASK-022",
        fix="give it one label, or set task.multi_label = true for a text_classification.",
    )


def single(example: Example) -> Example:
    """The example, which must be one text alone: a second one would be ignored unseen.

    Raises:
        DataError: it has a second text.
    """
    if example.pair is None:
        return example
    raise unusable(
        example,
        "the row has a second text, which this task does not read",
        code="TS-TASK-031",
        fix='set task.kind = "pair_matching", or leave the second column out.',
    )


def as_one(example: Example) -> Example:
    """The example, with its only label bare where the file gave a list of one."""
    gold = example.gold
    return replace(example, gold=labels_of(example)[0]) if isinstance(gold, tuple) and len(gold) == 1 else example


def as_set(example: Example) -> Example:
    """The example, with a bare label as a list of one."""
    return replace(example, gold=(example.gold,)) if isinstance(example.gold, str) else example


def unknown_label(example: Example, label: str) -> DataError:
    """The refusal of a row whose label the model has no class for."""
    return unusable(
        example,
        f"the label {label!r} is not one that the model learns",
        code="TS-TASK-021",
        fix="correct the row, leave it out, or add rows with this label to the training file (and to task.labels).",
    )


def unusable(example: Example, message: str, *, code: str, fix: str) -> DataError:
    """The refusal of one row, at its line."""
    place = Place(file=example.source.file, line=example.source.line)
    return DataError(message, code=code, place=place, fix=fix)


def resolved(weights: ClassWeights, found: Inventory) -> ClassWeights:
    """Class weights as numbers where they are to be balanced; a label without examples counts as if it had one.

    Raises:
        ConfigError: a list that does not have one number above 0 for each label.
    """
    if weights == "none":
        return weights
    counts = [max(count, 1) for count in found.counts]
    if weights == "balanced":
        return balanced_positive_weights(counts, found.examples) if found.several else balanced_class_weights(counts)
    return fitting(weights, len(found.labels))


def fitting(weights: list[float], classes: int) -> list[float]:
    """The weights, of which there must be one above 0 for each class.

    Raises:
        ConfigError: there is not.
    """
    if len(weights) != classes or not all(0 < weight < math.inf for weight in weights):
        raise ConfigError(
            f"{len(weights)} weights for {classes} classes, or one that is not above 0",
            code="TS-TASK-025",
            place=Place(key="task.class_weights"),
            fix='write one number above 0 for each class, or "balanced".',
        )
    return weights


def _check(labels: Sequence[str], total: int, *, several: bool) -> None:
    if total == 0:
        raise DataError("no training row carries a label", code="TS-TASK-024", fix="label some rows to learn from.")
    if len(labels) < (1 if several else 2):
        shown = f"all rows carry {labels[0]!r}" if labels else "no row carries a label"
        raise DataError(
            f"there is nothing to tell apart: {shown}", code="TS-TASK-023", fix="give rows with another label."
        )
