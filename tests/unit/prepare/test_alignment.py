"""Spans to tags and back, and windows that lose nothing."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.core.example import Span
from tunesmith.prepare.alignment import Scheme, answers_of, spans_of, tags_of, units_of, windows_of

SCHEMES: tuple[Scheme, ...] = ("BIO", "BIOES")
TEXT = "Ann Lee, of New York City"
WORDS = units_of(TEXT, "words")


def test_spans_on_unit_borders_become_tags() -> None:
    spans = [Span(0, 7, "PER"), Span(12, 20, "LOC"), Span(21, 25, "LOC")]
    assert tags_of(spans, WORDS, "BIO") == (["B-PER", "I-PER", "O", "O", "B-LOC", "I-LOC", "B-LOC"], [])
    assert tags_of(spans, WORDS, "BIOES") == (["B-PER", "E-PER", "O", "O", "B-LOC", "E-LOC", "S-LOC"], [])


@pytest.mark.parametrize(
    "span, became",
    [
        (Span(13, 20, "LOC"), Span(12, 20, "LOC")),
        (Span(0, 4, "PER"), Span(0, 3, "PER")),
        (Span(3, 7, "X"), Span(4, 7, "X")),
    ],
)
def test_a_span_off_the_borders_is_moved_to_the_units_around_it(span: Span, became: Span) -> None:
    tags, (misfit,) = tags_of([span], WORDS, "BIO")
    assert (misfit.kind, misfit.span, misfit.became) == ("repaired", span, became)
    assert spans_of(tags, WORDS) == [became]


def test_a_span_of_blanks_and_an_empty_one_are_lossy() -> None:
    tags, misfits = tags_of([Span(3, 4, "X"), Span(5, 5, "Y"), Span(8, 8, "Z")], WORDS, "BIO")
    assert set(tags) == {"O"}
    assert [misfit.kind for misfit in misfits] == ["lossy"] * 3


def test_of_two_that_collide_the_exact_one_stays() -> None:
    tags, (misfit,) = tags_of([Span(12, 19, "LOC"), Span(16, 25, "ORG")], WORDS, "BIO")
    assert (misfit.span, misfit.kind) == (Span(12, 19, "LOC"), "lossy")
    assert spans_of(tags, WORDS) == [Span(16, 25, "ORG")]


def test_of_nested_spans_the_outer_one_stays_and_a_repeated_one_is_one() -> None:
    outer, inner = Span(12, 25, "LOC"), Span(16, 20, "LOC")
    tags, (misfit,) = tags_of([inner, outer, outer], WORDS, "BIO")
    assert misfit.span == inner
    assert spans_of(tags, WORDS) == [outer]


@pytest.mark.parametrize(
    "tags, expected",
    [
        ("I-A I-A O", [(0, 2, "A")]),
        ("B-A I-B I-B", [(0, 1, "A"), (1, 3, "B")]),
        ("B-A B-A I-A", [(0, 1, "A"), (1, 3, "A")]),
        ("S-A S-A E-A", [(0, 1, "A"), (1, 2, "A"), (2, 3, "A")]),
        ("B-A E-A E-A", [(0, 2, "A"), (2, 3, "A")]),
        ("B-A E-A I-A", [(0, 2, "A"), (2, 3, "A")]),
        ("O O I-A", [(2, 3, "A")]),
        ("B-x-y I-x-y O", [(0, 2, "x-y")]),
    ],
)
def test_tags_read_as_conlleval_reads_them(tags: str, expected: list[tuple[int, int, str]]) -> None:
    units = [(index, index + 1) for index in range(3)]
    assert spans_of(tags.split(), units) == [Span(*item) for item in expected]


@st.composite
def texts_with_entities(draw: st.DrawFn) -> tuple[str, list[tuple[int, int]], list[Span]]:
    """A text, its units, and entities on their borders."""
    text = draw(st.text(st.one_of(st.characters(), st.sampled_from("ab1 中 é👍")), max_size=40))
    units = units_of(text, draw(st.sampled_from(["words", "classes", "characters"])))
    spans, index = [], 0
    while index < len(units):
        size = draw(st.integers(0, 3))
        if size and index + size <= len(units):
            label = draw(st.sampled_from(["PER", "LOC", "a-b"]))
            spans.append(Span(units[index][0], units[index + size - 1][1], label))
        index += max(size, 1)
    return text, units, spans


@settings(max_examples=200, deadline=None)
@given(case=texts_with_entities(), scheme=st.sampled_from(SCHEMES))
def test_what_goes_to_tags_comes_back(case: Any, scheme: Scheme) -> None:
    _, units, spans = case
    tags, misfits = tags_of(spans, units, scheme)
    assert misfits == []
    assert spans_of(tags, units) == spans


@settings(max_examples=200, deadline=None)
@given(
    text=st.text(st.sampled_from("ab 中1\u0301👍🏽 "), max_size=20),
    ends=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=4),
)
def test_every_span_is_carried_or_reported(text: str, ends: list[tuple[int, int]]) -> None:
    units = units_of(text, "words")
    spans = [Span(min(pair), max(pair), "X") for pair in ends]
    tags, misfits = tags_of(spans, units, "BIO")
    back = set(spans_of(tags, units))
    reported = {misfit.span for misfit in misfits}
    moved = {misfit.became for misfit in misfits if misfit.became}
    assert back == (set(spans) - reported) | moved
    assert all(misfit.became in back for misfit in misfits if misfit.kind == "repaired")


COUNTS = st.lists(st.integers(1, 7), max_size=60)


@settings(max_examples=150, deadline=None)
@given(counts=COUNTS, room=st.integers(1, 40), stride=st.integers(0, 39))
def test_windows_cover_every_unit_and_fit(counts: list[int], room: int, stride: int) -> None:
    windows = windows_of(counts, room=room, stride=min(stride, room // 2))
    assert {unit for first, last in windows for unit in range(first, last)} == set(range(len(counts)))
    assert all(sum(counts[first:last]) <= room or last == first + 1 for first, last in windows)
    assert all(a[1] < b[1] and a[0] < b[0] for a, b in pairwise(windows))
    assert len(windows) == 1 or not counts or sum(counts) > room


@settings(max_examples=150, deadline=None)
@given(counts=COUNTS, room=st.integers(8, 40), stride=st.integers(0, 20))
def test_every_unit_is_answered_for_once_where_it_has_most_context(counts: list[int], room: int, stride: int) -> None:
    windows = windows_of(counts, room=room, stride=min(stride, room // 2))
    answers = answers_of(windows, counts)
    assert [unit for first, last in answers for unit in range(first, last)] == list(range(len(counts)))
    assert all(w[0] <= a[0] and a[1] <= w[1] for w, a in zip(windows, answers, strict=True) if a[0] < a[1])

    def context(unit: int, window: tuple[int, int]) -> float:
        left = sum(counts[window[0] : unit]) if window[0] else float("inf")
        right = sum(counts[unit + 1 : window[1]]) if window[1] < len(counts) else float("inf")
        return min(left, right)

    for window, (first, last) in zip(windows, answers, strict=True):
        for unit in range(first, last):
            best = max(context(unit, other) for other in windows if other[0] <= unit < other[1])
            assert context(unit, window) >= best - max(counts)


def test_windows_share_about_the_stride() -> None:
    assert windows_of([1] * 100, room=40, stride=10) == [(0, 40), (30, 70), (60, 100)]
    assert answers_of([(0, 40), (30, 70), (60, 100)], [1] * 100) == [(0, 35), (35, 65), (65, 100)]
    assert windows_of([1] * 10, room=4, stride=0) == [(0, 4), (4, 8), (8, 10)]
    assert windows_of([1, 90, 1], room=4, stride=2) == [(0, 1), (1, 2), (2, 3)]
    assert windows_of([], room=4, stride=2) == []
