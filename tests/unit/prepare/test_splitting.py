"""Splits: shares kept, nothing equal on two sides, groups whole, the future unseen, impossible requests refused."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.core.errors import ConfigError, DataError
from tunesmith.core.example import Example, Gold, Source, Span
from tunesmith.prepare.duplicates import normalized
from tunesmith.prepare.splitting import Split, fingerprint, split


def row(
    number: int, gold: Gold | None, *, text: str | None = None, group: str | None = None, time: str | None = None
) -> Example:
    source = Source("rows.jsonl", number + 1)
    return Example(id=str(number), text=text or f"text {number}", gold=gold, group=group, time=time, source=source)


def labels_in(part: tuple[Example, ...]) -> Counter[object]:
    return Counter(example.gold for example in part)


def sizes(made: Split) -> tuple[int, int, int]:
    return len(made.train), len(made.dev), len(made.test)


def taken(
    examples: list[Example], *, dev: float = 0.1, test: float = 0.1, by: str = "stratified", seed: int = 0
) -> Split:
    return split(examples, dev=dev, test=test, by=by, seed=seed)  # type: ignore[arg-type]


def test_every_label_keeps_its_share() -> None:
    made = taken([row(n, "rare" if n % 20 == 0 else "usual") for n in range(400)], dev=0.1, test=0.2)
    assert sizes(made) == (280, 40, 80)
    assert [labels_in(part)["rare"] for part in (made.train, made.dev, made.test)] == [14, 2, 4]
    assert made.record["labels"]["test"] == {"rare": 4, "usual": 76}


def test_every_label_occurs_in_train_first() -> None:
    golds = [f"label {n}" for n in range(30)] + ["usual"] * 70 + ["twice", "twice"]
    made = taken([row(n, gold) for n, gold in enumerate(golds)], dev=0.2, test=0.2)
    assert set(labels_in(made.train)) == set(golds)
    assert len(made.dev) + len(made.test) >= 38


def test_a_small_train_still_knows_every_label() -> None:
    golds = [f"label {n // 2}" for n in range(60)]
    made = taken([row(n, gold) for n, gold in enumerate(golds)], dev=0.4, test=0.4)
    assert set(labels_in(made.train)) == set(golds)


def test_entities_are_stratified_by_the_types_a_row_shows() -> None:
    def spans(n: int) -> tuple[Span, ...]:
        return tuple(Span(0, 4, kind) for kind, every in (("PER", 2), ("LAW", 25)) if n % every == 0)

    made = taken([row(n, spans(n)) for n in range(500)])
    assert sizes(made) == pytest.approx((400, 50, 50), abs=2)
    counts = made.record["labels"]
    assert [counts[name]["LAW"] for name in ("train", "dev", "test")] == [16, 2, 2]
    assert counts["dev"]["PER"] == pytest.approx(25, abs=2)


def test_label_sets_and_scores_are_stratified_too() -> None:
    sets = [tuple(label for label in "abc" if (n * 7) % (ord(label) - 90) == 0) for n in range(600)]
    made = taken([row(n, gold) for n, gold in enumerate(sets)])
    shares = [made.record["labels"][name]["c"] / len(part) for name, part in (("train", made.train), ("dev", made.dev))]
    assert shares[0] == pytest.approx(shares[1], abs=0.03)
    scores = taken([row(n, n / 100) for n in range(500)])
    assert sizes(scores) == (400, 50, 50)
    assert sum(1 for example in scores.dev if float(str(example.gold)) < 1) == pytest.approx(10, abs=1)


def test_texts_that_are_the_same_share_a_split() -> None:
    texts = [f"Text {n % 150}" if n % 2 else f"text  {n % 150} " for n in range(600)]
    made = taken([row(n, "ab"[n % 2], text=text) for n, text in enumerate(texts)], dev=0.2, test=0.2)
    sides = [{normalized(example.text) for example in part} for part in (made.train, made.dev, made.test)]
    assert not sides[0] & sides[1] and not sides[0] & sides[2] and not sides[1] & sides[2]
    assert made.record["kept_together"] == 600
    assert sizes(made) == pytest.approx((360, 120, 120), abs=8)


def test_pairs_are_the_same_only_if_both_texts_are() -> None:
    pairs = [
        Example(id=str(n), text="one query", pair=f"answer {n}", gold="ab"[n % 2], source=Source("x", n + 1))
        for n in range(100)
    ]
    assert sizes(taken(pairs)) == (80, 10, 10)


def test_groups_stay_whole() -> None:
    draw = random.Random(0)
    examples = [row(n, "abc"[n % 3], group=f"g{draw.randrange(60)}") for n in range(900)]
    made = taken(examples, by="group")
    sides = [{example.group for example in part} for part in (made.train, made.dev, made.test)]
    assert not sides[0] & sides[1] and not sides[0] & sides[2] and not sides[1] & sides[2]
    assert sizes(made) == pytest.approx((720, 90, 90), abs=25)


def test_the_newest_rows_are_tested_and_nothing_from_the_future_trains() -> None:
    times = [f"2024-{1 + n // 28:02d}-{1 + n % 28:02d}T10:00:00" for n in range(200)]
    order = random.Random(3).sample(range(200), 200)
    made = taken([row(n, "ab"[n % 2], time=times[n]) for n in order], dev=0.1, test=0.2, by="time")
    assert sizes(made) == (140, 20, 40)
    assert max(str(e.time) for e in made.train) < min(str(e.time) for e in made.dev)
    assert max(str(e.time) for e in made.dev) < min(str(e.time) for e in made.test)


def test_an_old_copy_of_a_new_text_does_not_train() -> None:
    examples = [row(n, "a", time=f"2024-01-{1 + n:02d}") for n in range(20)]
    copy = row(20, "a", text="text 19", time="2023-01-01T00:00:00+02:00")
    made = taken([*examples, copy], by="time")
    assert {"19", "20"} <= {example.id for example in made.test}


def test_a_seed_decides_and_the_order_of_the_file_does_not() -> None:
    examples = [row(n, "abc"[n % 3]) for n in range(90)]
    shuffled = random.Random(1).sample(examples, 90)
    ids = [{example.id for example in taken(rows).test} for rows in (examples, shuffled)]
    assert ids[0] == ids[1]
    assert ids[0] != {example.id for example in taken(examples, seed=1).test}
    assert [int(example.id) for example in taken(examples).train] == sorted(int(e.id) for e in taken(examples).train)


def test_the_split_is_written_down() -> None:
    examples = [row(n, "ab"[n % 2]) for n in range(50)]
    record = taken(examples, dev=0.2, test=0.0, seed=7).record
    assert {key: record[key] for key in ("by", "seed", "shares")} == {
        "by": "stratified",
        "seed": 7,
        "shares": {"dev": 0.2, "test": 0.0},
    }
    assert record["counts"] == {"train": 40, "dev": 10, "test": 0}
    assert record["fingerprint"] == fingerprint(examples)


def test_the_fingerprint_sees_ids_texts_pairs_and_gold() -> None:
    base = row(1, "a")
    others = [
        row(2, "a", text=base.text),
        row(1, "b"),
        row(1, ("a",)),
        row(1, (Span(0, 2, "a"),)),
        row(1, None),
        row(1, "a", text="text \ud83d"),
        Example(id="1", text=base.text, pair="", gold="a", source=base.source),
    ]
    assert len({fingerprint([example]) for example in (base, *others)}) == 8
    assert fingerprint([base]) == fingerprint([row(1, "a", group="g", time="2024-01-01")])


@pytest.mark.parametrize(
    "dev, test, key", [(1.0, 0.0, "dev"), (-0.1, 0.1, "dev"), (0.1, 2, "test"), (0.5, 0.5, "split")]
)
def test_shares_that_leave_nothing_are_refused(dev: float, test: float, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        taken([row(n, "a") for n in range(10)], dev=dev, test=test)
    assert caught.value.place is not None
    assert str(caught.value.place.key).endswith(key)


def test_rows_that_cannot_be_parted_are_refused() -> None:
    for examples in (
        [row(n, f"label {n}") for n in range(10)],
        [row(n, "a", text="the same") for n in range(10)],
        [row(0, "a")],
        [],
    ):
        with pytest.raises(DataError) as caught:
            taken(examples)
        assert caught.value.code == "TS-DATA-080"


def test_groups_and_times_must_be_there() -> None:
    with pytest.raises(DataError, match="no row has a group"):
        taken([row(n, "a") for n in range(10)], by="group")
    with pytest.raises(DataError, match="no time") as caught:
        taken([row(0, "a", time="2024-01-01"), row(1, "a")], by="time")
    assert str(caught.value.place) == "rows.jsonl:2"
    with pytest.raises(DataError, match="'last week' is not a time"):
        taken([row(0, "a", time="last week")], by="time")


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abcde"), st.integers(0, 30), st.integers(0, 8)), min_size=30, max_size=80),
    st.sampled_from(["stratified", "group"]),
)
def test_every_row_lands_once_and_train_knows_every_label(rows: list[tuple[str, int, int]], by: str) -> None:
    examples = [row(n, label, text=f"t{text}", group=f"g{group}") for n, (label, text, group) in enumerate(rows)]
    try:
        made = taken(examples, dev=0.15, test=0.15, by=by)
    except DataError:
        return
    everyone = [example.id for part in (made.train, made.dev, made.test) for example in part]
    assert sorted(everyone, key=int) == [example.id for example in examples]
    assert set(labels_in(made.train)) == {label for label, _, _ in rows}
