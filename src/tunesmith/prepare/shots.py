"""Few-shot rows: for each label so many rows drawn at random, and nothing else.

Labels are served from the rarest to the most frequent. Each takes rows at random until it has its number; rows that an
earlier label took count for all the labels that they carry. With one label a row every label has exactly its number.
With entities or several labels a row it has at least that, since a row brings whatever else it holds.

Source: Yang & Katiyar 2020, Simple and effective few-shot named entity recognition, algorithm 1 (greedy sampling).
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence

from tunesmith.core.errors import ConfigError, DataError, Place
from tunesmith.core.example import Example
from tunesmith.prepare.audit import labels_of


def drawn(examples: Sequence[Example], shots: int, *, seed: int, labelled: bool = True) -> tuple[Example, ...]:
    """At least `shots` rows that carry each label, in the order of `examples`; nothing for `shots` 0.

    Which rows follows from a hash of seed and text: every machine and version draws alike, in whatever order the rows
    stand (rows with equal texts aside). Where gold is an answer in words, rows are not `labelled`.

    Raises:
        DataError: a label is carried by fewer rows.
        ConfigError: the rows carry no labels.
    """
    if not shots:
        return ()
    rows_of: defaultdict[str, list[int]] = defaultdict(list)
    carried = [set(labels_of(example)) if labelled else set() for example in examples]
    for row, labels in enumerate(carried):
        for label in labels:
            rows_of[label].append(row)
    if not rows_of:
        raise ConfigError(
            "the rows carry no labels to draw by",
            code="TS-DATA-085",
            place=Place(key="data.shots"),
            fix="take data.limit for rows with scores or with answers in words.",
        )
    order = sorted(rows_of, key=lambda label: (len(rows_of[label]), label))
    if len(rows_of[order[0]]) < shots:
        _refuse(order[0], len(rows_of[order[0]]), shots)
    place = [_hashed(seed, example) for example in examples]
    taken: set[int] = set()
    count: Counter[str] = Counter()
    for label in order:
        for row in sorted(rows_of[label], key=place.__getitem__):
            if count[label] >= shots:
                break
            if row not in taken:
                taken.add(row)
                count.update(carried[row])
    return tuple(examples[row] for row in sorted(taken))


def _hashed(seed: int, example: Example) -> bytes:
    whole = f"{seed}\0{example.text}\0{example.pair or ''}"
    return hashlib.sha256(whole.encode("utf-8", "surrogatepass")).digest()


def _refuse(label: str, rows: int, shots: int) -> None:
    raise DataError(
        f"{label!r} has {rows} training rows where {shots} are to be drawn",
        code="TS-DATA-084",
        place=Place(key="data.shots"),
        fix="draw fewer, label more rows, or leave the label out of the file.",
    )
