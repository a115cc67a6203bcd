"""When labels look like paths, and what stands between their steps."""

import pytest

from tunesmith.prepare.label_paths import separator_of, ways_down


@pytest.mark.parametrize(
    "labels, found",
    [
        ({"a/x", "a/y", "b/x", "b/z"}, "/"),
        ({"a / x", "a / y", "b / x", "b / z"}, " / "),
        ({"Home > Lamps", "Home > Rugs", "Food > Tea", "Food > Jam"}, " > "),
        ({"DESC:def", "DESC:manner", "NUM:date", "NUM:count"}, ":"),
        ({"a::x", "a::y", "b::x", "b::y"}, "::"),
        ({"Calendar.Add", "Calendar.Find", "Mail.Send", "Mail.Read"}, "."),
        ({"neg/late", "neg/lost", "pos/fast", "pos/kind", "neutral"}, "/"),
        ({"card_lost", "card_stolen", "pin_change", "pin_lost"}, None),
        ({"yes/no", "and/or"}, None),
        ({"a/x", "a/y", "b", "c", "d"}, None),
        ({"a//x", "a/y", "b/x", "b/y"}, None),
        (set(), None),
    ],
)
def test_the_sign_that_most_labels_share(labels: set[str], found: str | None) -> None:
    assert separator_of(labels) == found


def test_the_way_down_to_a_label() -> None:
    assert ways_down("a > b > c", " > ") == ("a", "a > b", "a > b > c")
    assert ways_down("a", "/") == ("a",)
