"""Dealing units of rows out to train, dev and test so that every label keeps its share.

A *unit* is what may not be parted: rows that say the same, rows of one group. Units are dealt label by label, the
rarest first; each goes where its label is missed most, and whatever shows a label that train does not have yet goes to
train. A split that is still short then takes units from train whose labels train can spare.

Source: Sechidis, Tsoumakas & Vlahavas 2011, On the stratification of multi-label data; the guarantee for train is ours.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tunesmith.core.example import Example, LabelAndSpans, Span
from tunesmith.prepare.duplicates import normalized

SCORE_BINS = 10
TRAIN = 0


@dataclass(frozen=True, slots=True)
class Unit:
    """Rows that stay together, and their place in the hashed order."""

    rows: tuple[int, ...]
    order: bytes


def units_of(examples: Sequence[Example], *, groups: bool, seed: int, by_question: bool = False) -> list[Unit]:
    """The units of the rows in hashed order: equal texts (and pairs) together, with `groups` whole groups together.

    With `by_question` equal first texts are enough.
    """
    second = ["" if by_question else normalized(example.pair or "") for example in examples]
    keys = [(normalized(example.text), other) for example, other in zip(examples, second, strict=True)]
    parent = list(range(len(examples)))
    first: dict[object, int] = {}
    for row, (example, key) in enumerate(zip(examples, keys, strict=True)):
        _join(parent, first.setdefault(key, row), row)
        if groups and example.group is not None:
            _join(parent, first.setdefault(example.group, row), row)
    members: defaultdict[int, list[int]] = defaultdict(list)
    for row in range(len(examples)):
        members[_root(parent, row)].append(row)
    units = [Unit(tuple(rows), min(_order(keys[row], seed) for row in rows)) for rows in members.values()]
    return sorted(units, key=lambda unit: unit.order)


def strata_of(examples: Sequence[Example]) -> list[tuple[str, ...]]:
    """What each row is stratified by: its labels, its entity types, the tenth its score lies in, or "" without any."""
    scores = sorted(float(example.gold) for example in examples if isinstance(example.gold, float | int))
    edges = [scores[len(scores) * bin_ // SCORE_BINS] for bin_ in range(1, SCORE_BINS)] if scores else []
    return [_strata(example, edges) for example in examples]


def dealt_by_label(
    units: Sequence[Unit], strata: Sequence[Sequence[str]], wanted: Sequence[int]
) -> tuple[list[int], ...]:
    """The rows of each split. `strata` are the labels of each row, `wanted` the size of each split, train first."""
    table = _Table(units, strata, wanted)
    by_label: defaultdict[str, list[int]] = defaultdict(list)
    for index, labels in enumerate(table.labels):
        for label in labels:
            by_label[label].append(index)
    totals = {label: sum(table.labels[index][label] for index in own) for label, own in by_label.items()}
    for label in sorted(by_label, key=lambda name: (totals[name], name)):
        for index in sorted(by_label[label], key=lambda i: -len(units[i].rows)):  # stable: hashed order among equals
            table.deal(index, label)
    table.top_up()
    return table.rows()


def dealt_in_order(units: Sequence[Unit], wanted: Sequence[int]) -> tuple[list[int], ...]:
    """The rows of each split where units come in the order of time: a unit goes where its middle row lies."""
    found: tuple[list[int], ...] = tuple([] for _ in wanted)
    seen = 0
    for unit in units:
        middle = seen + len(unit.rows) / 2
        seen += len(unit.rows)
        borders = [sum(wanted[: index + 1]) for index in range(len(wanted))]
        split = next((index for index, border in enumerate(borders) if middle <= border), len(wanted) - 1)
        found[split].extend(unit.rows)
    return found


class _Table:
    """Who sits where while units are dealt."""

    def __init__(self, units: Sequence[Unit], strata: Sequence[Sequence[str]], wanted: Sequence[int]) -> None:
        self.units = units
        self.labels = [Counter(label for row in unit.rows for label in strata[row]) for unit in units]
        self.home: list[int | None] = [None] * len(units)
        self.left = [float(count) for count in wanted]
        total = _added(self.labels)
        rows = max(sum(wanted), 1)
        self.missed = [{label: count * share / rows for label, count in total.items()} for share in wanted]
        self.trained: Counter[str] = Counter()
        self.open = [index for index, count in enumerate(wanted) if count > 0]

    def deal(self, index: int, label: str) -> None:
        """Give a unit that has no home yet to the split that misses `label` most."""
        if self.home[index] is not None:
            return
        if any(self.trained[own] == 0 for own in self.labels[index]):
            self._seat(index, TRAIN)
        else:
            self._seat(index, max(self.open, key=lambda split: (self.missed[split][label], self.left[split], -split)))

    def top_up(self) -> None:
        """Give splits that are short of at least half a unit what train can spare, from its most frequent labels."""
        for split in self.open:
            if split == TRAIN:
                continue
            spare = [index for index, home in enumerate(self.home) if home == TRAIN]
            spare.sort(key=lambda index: -min(self.trained[label] for label in self.labels[index]))
            for index in spare:
                if self.left[split] < len(self.units[index].rows) / 2 + 0.25:
                    continue
                if all(self.trained[label] > count for label, count in self.labels[index].items()):
                    self.left[TRAIN] += len(self.units[index].rows)
                    self.trained.subtract(self.labels[index])
                    self._seat(index, split)

    def rows(self) -> tuple[list[int], ...]:
        """The rows of each split."""
        found: tuple[list[int], ...] = tuple([] for _ in self.left)
        for unit, home in zip(self.units, self.home, strict=True):
            found[home or 0].extend(unit.rows)
        return found

    def _seat(self, index: int, split: int) -> None:
        self.home[index] = split
        self.left[split] -= len(self.units[index].rows)
        for label, count in self.labels[index].items():
            self.missed[split][label] -= count
            if split == TRAIN:
                self.trained[label] += count


def _added(counters: Iterable[Counter[str]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for counter in counters:
        total.update(counter)
    return total


def _strata(example: Example, edges: Sequence[float]) -> tuple[str, ...]:
    gold = example.gold
    if isinstance(gold, LabelAndSpans):
        return (gold.label, *sorted({span.label for span in gold.spans}))
    if isinstance(gold, tuple):
        names = sorted({item.label if isinstance(item, Span) else str(item) for item in gold})
        return tuple(names) or ("",)
    if isinstance(gold, str):
        return (gold,)
    return ("",) if gold is None else (str(sum(edge <= gold for edge in edges)),)


def _order(key: tuple[str, str], seed: int) -> bytes:
    text = "\x00".join((str(seed), *key)).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=16).digest()


def _root(parent: list[int], row: int) -> int:
    while parent[row] != row:
        parent[row] = parent[parent[row]]
        row = parent[row]
    return row


def _join(parent: list[int], first: int, second: int) -> None:
    parent[_root(parent, second)] = _root(parent, first)
