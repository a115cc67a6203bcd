"""Strict scores equal seqeval's strict mode and conlleval's counts; lenient ones equal the best pairing there is."""

import random
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import f1_score, precision_score, recall_score
from seqeval.metrics.v1 import precision_recall_fscore_support
from seqeval.scheme import IOB2

from tunesmith.core.example import Span
from tunesmith.judge.metrics import spans
from tunesmith.judge.metrics.counts import Counts, per_label

TYPES = ("PER", "ORG", "LOC")


def random_tags(rng: random.Random, length: int) -> list[str]:
    choices = ["O", "O", "O"] + [f"{prefix}-{kind}" for prefix in "BI" for kind in TYPES]
    return [rng.choice(choices) for _ in range(length)]


def strict_iob2(tags: list[str]) -> list[Span]:
    """An entity begins with B and goes on with I of its type; an I that continues nothing is no entity."""
    found, start = [], None
    for place, tag in enumerate([*tags, "O"]):
        if start is not None and tag != f"I-{tags[start][2:]}":
            found.append(Span(start, place, tags[start][2:]))
            start = None
        if tag.startswith("B-"):
            start = place
    return found


def legal(rng: random.Random, length: int) -> list[str]:
    tags: list[str] = []
    for _ in range(length):
        before = tags[-1] if tags else "O"
        options = ["O", "O"] + [f"B-{kind}" for kind in TYPES]
        tags.append(rng.choice(options + ([f"I-{before[2:]}"] * 3 if before != "O" else [])))
    return tags


def conlleval(gold: list[list[str]], predicted: list[list[str]]) -> tuple[int, int, int]:
    """The counting of the CoNLL-2000 script: correct, found in gold, found in predicted chunks."""

    def begins(before: str, now: str) -> bool:
        return now[0] == "B" or (now[0] == "I" and (before[0] == "O" or before[2:] != now[2:]))

    def ends(now: str, after: str) -> bool:
        return now != "O" and (after[0] in "OB" or after[2:] != now[2:])

    correct = in_gold = in_predicted = 0
    for right, said in zip(gold, predicted, strict=True):
        open_chunk = False
        before_right = before_said = "O"
        for one, other in zip([*right, "O"], [*said, "O"], strict=True):
            if open_chunk:
                both = (ends(before_right, one), ends(before_said, other))
                if all(both):
                    correct += 1
                if any(both) or one[2:] != other[2:]:
                    open_chunk = False
            starts = (begins(before_right, one), begins(before_said, other))
            if all(starts) and one[2:] == other[2:]:
                open_chunk = True
            in_gold += starts[0]
            in_predicted += starts[1]
            before_right, before_said = one, other
    return correct, in_gold, in_predicted


def counts_of(gold: list[list[Span]], predicted: list[list[Span]]) -> Counts:
    return Counts.of([spans.row(one, other) for one, other in zip(gold, predicted, strict=True)])


@pytest.mark.parametrize("seed", range(25))
def test_strict_scores_equal_seqeval_strict_iob2(seed: int) -> None:
    rng = random.Random(seed)
    gold = [random_tags(rng, rng.randint(1, 9)) for _ in range(rng.randint(2, 12))]
    gold[0][:1] = ["B-PER"]  # seqeval refuses a file without an entity
    predicted = [[tag if rng.random() < 0.7 else rng.choice(random_tags(rng, 1)) for tag in row] for row in gold]
    counts = counts_of([strict_iob2(row) for row in gold], [strict_iob2(row) for row in predicted])
    ours = spans.metrics(counts)
    options = {"mode": "strict", "scheme": IOB2, "zero_division": 0}
    assert ours["span_precision"] == pytest.approx(precision_score(gold, predicted, **options))
    assert ours["span_recall"] == pytest.approx(recall_score(gold, predicted, **options))
    assert ours["span_f1"] == pytest.approx(f1_score(gold, predicted, **options))
    assert ours["span_macro_f1"] == pytest.approx(f1_score(gold, predicted, average="macro", **options))
    table = precision_recall_fscore_support(gold, predicted, scheme=IOB2, zero_division=0)
    labels = counts.labels()
    mine = per_label(counts, labels)
    for place, name in enumerate(("precision", "recall", "f1", "gold")):
        assert mine[name] == pytest.approx(table[place])


@pytest.mark.parametrize("seed", range(25))
def test_strict_counts_equal_conlleval(seed: int) -> None:
    rng = random.Random(seed)
    lengths = [rng.randint(1, 12) for _ in range(10)]
    gold, predicted = [legal(rng, n) for n in lengths], [legal(rng, n) for n in lengths]
    for one, other in zip(gold, predicted, strict=True):
        if rng.random() < 0.5:
            other[:] = one
    counts = counts_of([strict_iob2(row) for row in gold], [strict_iob2(row) for row in predicted])
    ours = per_label(counts, counts.labels())
    expected = conlleval(gold, predicted)
    assert (ours["true_positive"].sum(), ours["gold"].sum(), ours["predicted"].sum()) == expected


@st.composite
def flat_spans(draw: st.DrawFn) -> list[Span]:
    borders = sorted(draw(st.sets(st.integers(0, 14), max_size=8)))
    found = [Span(a, b, draw(st.sampled_from("AB"))) for a, b in zip(borders[::2], borders[1::2], strict=False)]
    return [span for span in found if draw(st.booleans()) or span.label == "A"]


def best_pairing(gold: list[Span], predicted: list[Span], worth: object) -> float:
    """The largest total worth of any one-to-one pairing, by trying them all."""
    assert callable(worth)
    short, long = sorted((gold, predicted), key=len)
    swapped = len(gold) > len(predicted)
    value = (lambda a, b: worth(b, a)) if swapped else worth
    return max(
        (sum(value(a, b) for a, b in zip(short, order, strict=False)) for order in permutations(long, len(short))),
        default=0.0,
    )


def meets(a: Span, b: Span) -> bool:
    return a.start < b.end and b.start < a.end


def same_border(a: Span, b: Span) -> bool:
    return (a.start, a.end) == (b.start, b.end)


@settings(max_examples=150, deadline=None)
@given(flat_spans(), flat_spans())
def test_lenient_scores_equal_the_best_pairing_by_brute_force(gold: list[Span], predicted: list[Span]) -> None:
    ours = spans.metrics(Counts.of([spans.row(gold, predicted)]))
    total = len(gold) + len(predicted)
    for name, worth in {
        "span_f1": lambda a, b: float(a == b),
        "boundary_f1": lambda a, b: float(same_border(a, b)),
        "type_f1": lambda a, b: float(meets(a, b) and a.label == b.label),
        "partial_f1": lambda a, b: 1.0 if same_border(a, b) else 0.5 * meets(a, b),
    }.items():
        best = best_pairing(gold, predicted, worth)
        assert ours[name] == pytest.approx(2 * best / total if total else 0.0), name


@settings(max_examples=100, deadline=None)
@given(flat_spans(), flat_spans())
def test_every_entity_has_exactly_one_fate(gold: list[Span], predicted: list[Span]) -> None:
    pairs = spans.pairings(gold, predicted)
    assert sorted(pair.gold for pair in pairs if pair.gold) == sorted(gold)
    assert sorted(pair.predicted for pair in pairs if pair.predicted) == sorted(predicted)
    for pair in pairs:
        if pair.gold is None or pair.predicted is None:
            assert pair.fate == ("spurious" if pair.gold is None else "missed")
        else:
            expected = {(True, True): "correct", (True, False): "label", (False, True): "boundary"}
            key = (same_border(pair.gold, pair.predicted), pair.gold.label == pair.predicted.label)
            assert pair.fate == expected.get(key, "both")
            assert meets(pair.gold, pair.predicted)


def test_the_textbook_trap_an_all_outside_model_scores_nothing() -> None:
    gold = [[Span(0, 5, "PER")], [Span(3, 9, "LOC")]]
    ours = spans.metrics(counts_of(gold, [[], []]))
    assert ours["span_f1"] == 0
    assert ours["sentence_accuracy"] == 0


def test_a_perfect_answer_scores_one_everywhere() -> None:
    gold = [[Span(0, 5, "PER"), Span(6, 9, "LOC")], []]
    assert all(value == 1 for value in spans.metrics(counts_of(gold, gold)).values())
