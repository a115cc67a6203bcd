"""Taking dev and test rows from one file so that the score on them can be believed.

Rows that say the same (equal text after normalisation) always share a split, and with `by="group"` so do the rows of a
group. `stratified` and `group` keep the share of every label in every split and see to it that each label occurs in
train; `time` trains on the oldest rows and tests on the newest, nothing from the future in train.

Which row goes where follows from a hash of seed and text: every machine and library version deals alike, and the order
of the file does not matter.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from tunesmith.core.errors import ConfigError, DataError, Place
from tunesmith.core.example import Example, LabelAndSpans, Node, Relevant, Span
from tunesmith.prepare.dealing import Unit, dealt_by_label, dealt_in_order, strata_of, units_of

By = Literal["stratified", "group", "time"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The examples of each split in the order of the file, and how they came there."""

    train: tuple[Example, ...]
    dev: tuple[Example, ...]
    test: tuple[Example, ...]
    record: dict[str, Any]
    """JSON-ready: `by`, `seed`, `shares` asked for, `counts` and `labels` reached, `kept_together`, `fingerprint`."""


def split(
    examples: Sequence[Example],
    *,
    dev: float,
    test: float,
    by: By,
    seed: int,
    labelled: bool = True,
    by_question: bool = False,
) -> Split:
    """Deal the examples out. A share of 0 gives an empty split.

    Args:
        examples: The rows of one file.
        dev: Share of the rows for dev, at least 0 and below 1.
        test: Share of the rows for test, likewise; something must be left for train.
        by: What is kept: label shares, groups, or the order of time.
        seed: Another seed deals other rows (except by time).
        labelled: Whether gold is a label, whose share is kept, and not an answer in words.
        by_question: Rows with equal first texts share a split, whatever their second texts.

    Raises:
        ConfigError: shares that leave nothing to train on.
        DataError: no groups, no readable times, or too few different rows for the splits that are wanted.
    """
    _check_shares(dev, test)
    wanted = _wanted(len(examples), dev, test)
    if by == "group" and all(example.group is None for example in examples):
        raise DataError(
            "no row has a group",
            code="TS-DATA-081",
            place=Place(key="data.split.by"),
            fix='name the column that holds the groups (data.group), or split by = "stratified".',
        )
    units = units_of(examples, groups=by == "group", seed=seed, by_question=by_question)
    if by == "time":
        times = [_time(example) for example in examples]
        units.sort(key=lambda unit: (max(times[row] for row in unit.rows), unit.order))
        rows = dealt_in_order(units, wanted)
    else:
        strata = strata_of(examples) if labelled else [("",)] * len(examples)
        rows = dealt_by_label(units, strata, wanted)
    _check_counts(rows, wanted, units, labelled=labelled)
    train, dev_rows, test_rows = (tuple(examples[row] for row in sorted(part)) for part in rows)
    parts = {"train": train, "dev": dev_rows, "test": test_rows}
    record: dict[str, Any] = {
        "by": by,
        "seed": seed,
        "shares": {"dev": dev, "test": test},
        "counts": {name: len(part) for name, part in parts.items()},
        "labels": _label_counts(parts) if labelled else {},
        "kept_together": sum(len(unit.rows) for unit in units if len(unit.rows) > 1),
        "fingerprint": fingerprint(examples),
    }
    return Split(train=train, dev=dev_rows, test=test_rows, record=record)


def fingerprint(examples: Sequence[Example]) -> str:
    """sha256 over id, text, second text and gold of every example, in order."""
    digest = hashlib.sha256()
    for example in examples:
        gold = example.gold
        plain: object = [_plain(item) for item in gold] if isinstance(gold, tuple) else gold
        if isinstance(gold, LabelAndSpans):
            plain = [gold.label, [_plain(span) for span in gold.spans]]
        turns = [[[turn.role, turn.content] for turn in example.turns]] if example.turns else []
        digest.update(json.dumps([example.id, example.text, example.pair, plain, *turns]).encode("ascii"))
        digest.update(b"\n")
    return digest.hexdigest()


def _plain(item: Span | Relevant | Node | str) -> object:
    return item if isinstance(item, str) else list(astuple(item))


def _wanted(rows: int, dev: float, test: float) -> tuple[int, int, int]:
    """Rows of each split; a split that is asked for wants at least one."""
    dev_rows = max(round(rows * dev), 1) if dev else 0
    test_rows = max(round(rows * test), 1) if test else 0
    return rows - dev_rows - test_rows, dev_rows, test_rows


def _check_shares(dev: float, test: float) -> None:
    for key, share in (("dev", dev), ("test", test)):
        if not 0 <= share < 1:
            raise ConfigError(
                f"{share} is not a share",
                code="TS-CONF-050",
                place=Place(key=f"data.split.{key}"),
                fix="give a number from 0 to below 1, such as 0.1.",
            )
    if dev + test >= 1:
        raise ConfigError(
            f"dev {dev} and test {test} leave no rows to train on",
            code="TS-CONF-051",
            place=Place(key="data.split"),
            fix="let them add up to less than 1.",
        )


def _check_counts(
    rows: Sequence[Sequence[int]], wanted: Sequence[int], units: Sequence[Unit], *, labelled: bool
) -> None:
    kept = "each label must stay in train, and " if labelled else ""
    for name, part, count in zip(("train", "dev", "test"), rows, (1, *wanted[1:]), strict=True):
        if count and not part:
            total = sum(len(unit.rows) for unit in units)
            raise DataError(
                f"{total} rows ({len(units)} that may be parted) do not suffice for {name}: {kept}rows that say "
                "the same or share a group stay together",
                code="TS-DATA-080",
                place=Place(key="data.split"),
                fix=f"give more rows{' for each label' if labelled else ''}, or name a file for the split.",
            )


def _time(example: Example) -> datetime:
    if example.time is None:
        raise _bad_time(example, "the row has no time", "TS-DATA-082")
    try:
        found = datetime.fromisoformat(example.time.strip())
    except ValueError:
        raise _bad_time(example, f"{example.time[:40]!r} is not a time", "TS-DATA-083") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _bad_time(example: Example, message: str, code: str) -> DataError:
    place = Place(file=example.source.file, line=example.source.line)
    return DataError(message, code=code, place=place, fix="write times as ISO 8601, such as 2024-05-31T16:20:00.")


def _label_counts(parts: Mapping[str, Sequence[Example]]) -> dict[str, dict[str, int]]:
    """How many rows of each split show each label; scores are not counted."""
    found = {}
    for name, part in parts.items():
        labels = zip(part, strata_of(part), strict=True)
        counts = Counter(label for example, own in labels if not isinstance(example.gold, float) for label in own)
        found[name] = {label: counts[label] for label in sorted(counts) if label}
    return found
