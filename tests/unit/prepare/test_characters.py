"""What a unit is, at each level."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.prepare.alignment import units_of
from tunesmith.prepare.characters import LEVELS, Level

MIXED = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from("aBc1９é中あーｱ한\u0301\u200d\u200c\ufe0f👍🏽🇩🇪👩 \u3000\t.,_-#²½"),
    ),
    max_size=40,
)


def cut(text: str, level: Level) -> list[str]:
    return [text[start:end] for start, end in units_of(text, level)]


@pytest.mark.parametrize(
    "text, words",
    [
        ("Hello, world!  don't", ["Hello", ",", "world", "!", "don", "'", "t"]),
        ("U.N. 3.5%", ["U", ".", "N", ".", "3", ".", "5", "%"]),
        ("在2018年3月, iPhone12", ["在", "2018", "年", "3", "月", ",", "iPhone12"]),
        ("東京タワー", ["東", "京", "タ", "ワ", "ー"]),
        ("삼성전자 주가", ["삼성전자", "주가"]),
        ("e\u0301tude naïve नमस्ते", ["e\u0301tude", "naïve", "नमस्ते"]),
        ("می\u200cخواهم", ["می\u200cخواهم"]),
        ("👨\u200d👩\u200d👧👍🏽🇩🇪🇫🇷", ["👨\u200d👩\u200d👧", "👍🏽", "🇩🇪", "🇫🇷"]),
        ("1\ufe0f\u20e3 ❤\ufe0fx", ["1\ufe0f\u20e3", "❤\ufe0f", "x"]),
        ("a_b #x @y", ["a", "_", "b", "#", "x", "@", "y"]),
        ("  \u3000\n", []),
        ("", []),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert cut(text, "words") == words


@pytest.mark.parametrize(
    "text, classes",
    [
        ("iPhone12 HTMLParser x86", ["i", "Phone", "12", "HTML", "Parser", "x", "86"]),
        ("삼성Galaxy", ["삼성", "Galaxy"]),
        ("E\u0301tude", ["E\u0301tude"]),
        ("ΑΒΓαβ IBM", ["ΑΒ", "Γαβ", "IBM"]),
    ],
)
def test_classes(text: str, classes: list[str]) -> None:
    assert cut(text, "classes") == classes


def test_characters() -> None:
    assert cut("a b\u3000中e\u0301", "characters") == ["a", "b", "中", "e", "\u0301"]


@settings(max_examples=150, deadline=None)
@given(text=MIXED, level=st.sampled_from(LEVELS))
def test_units_leave_out_nothing_but_blanks(text: str, level: Level) -> None:
    units = units_of(text, level)
    assert "".join(text[start:end] for start, end in units) == "".join(text.split())
    assert all(start < end for start, end in units)
    assert all(end <= start for (_, end), (start, _) in pairwise(units))


@settings(max_examples=150, deadline=None)
@given(text=MIXED)
def test_every_border_is_a_border_of_the_finer_levels(text: str) -> None:
    borders = [{border for unit in units_of(text, level) for border in unit} for level in LEVELS]
    assert borders[0] <= borders[1] <= borders[2]
