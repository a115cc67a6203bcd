"""Few-shot rows: each label gets its number, another seed other rows, the same seed the same rows in any order."""

import random
from collections import Counter

import pytest

from tunesmith.core.errors import ConfigError, DataError
from tunesmith.core.example import Example, Gold, Source, Span
from tunesmith.prepare.shots import drawn


def row(number: int, gold: Gold) -> Example:
    return Example(id=str(number), text=f"text {number}", gold=gold, source=Source("rows.jsonl", number + 1))


LABELLED = [row(number, "abc"[number % 3] if number % 10 else "rare") for number in range(120)]


def test_every_label_has_exactly_its_number_and_rows_keep_their_order() -> None:
    found = drawn(LABELLED, 4, seed=1)
    assert Counter(example.gold for example in found) == {"a": 4, "b": 4, "c": 4, "rare": 4}
    assert [int(example.id) for example in found] == sorted(int(example.id) for example in found)


def test_the_draw_hangs_on_the_seed_and_not_on_the_order_of_the_rows() -> None:
    first = drawn(LABELLED, 4, seed=1)
    assert drawn(LABELLED, 4, seed=2) != first
    shuffled = random.Random(3).sample(LABELLED, len(LABELLED))
    assert {example.id for example in drawn(shuffled, 4, seed=1)} == {example.id for example in first}


def test_every_entity_type_is_held_by_its_number_of_rows_and_no_row_is_more_than_needed() -> None:
    kinds = [("PER",), ("PER", "LOC"), ("LOC",), (), ("ORG", "PER"), ("PER", "PER")]
    rows = [
        row(number, tuple(Span(place, place + 1, kind) for place, kind in enumerate(kinds[number % 6])))
        for number in range(60)
    ]
    found = drawn(rows, 5, seed=0)
    held = Counter(kind for example in found for kind in {span.label for span in example.gold})  # type: ignore[union-attr]
    assert held["ORG"] == 5 and held["LOC"] == 5 and held["PER"] >= 5
    assert all(example.gold for example in found) and len(found) <= 15


def test_label_sets_count_for_all_their_labels() -> None:
    rows = [row(number, ("a", "b") if number % 2 else ("a",)) for number in range(20)]
    found = drawn(rows, 3, seed=0)
    assert len(found) == 3 and all("b" in example.gold for example in found)  # type: ignore[operator]


def test_no_shots_no_rows() -> None:
    assert drawn(LABELLED, 0, seed=0) == ()


def test_a_label_with_fewer_rows_is_named() -> None:
    with pytest.raises(DataError, match="'rare' has 12 training rows where 13") as caught:
        drawn(LABELLED, 13, seed=0)
    assert caught.value.code == "TS-DATA-084"


def test_scores_have_no_labels_to_draw_by() -> None:
    with pytest.raises(ConfigError) as caught:
        drawn([row(1, 0.5), row(2, 1.5)], 1, seed=0)
    assert caught.value.code == "TS-DATA-085"
