"""What a notebook shows is the answer, with every character of a text escaped."""

from tunesmith.core.markup import bars, highlighted, hue
from tunesmith.core.prediction import Prediction, ScoredSpan

EVIL = "<img src=x onerror=alert(1)> & \"'"


def test_entities_are_marked_where_they_stand():
    html = highlighted("Anna in Rome", [(8, 12, "LOC", 0.5), (0, 4, "PER", 0.987)])
    assert html.index("Anna") < html.index("PER 99%") < html.index(" in ") < html.index("Rome") < html.index("LOC 50%")


def test_a_span_over_another_is_left_out_and_no_character_is_lost():
    import re

    html = highlighted("abcdef", [(0, 4, "A", 1.0), (2, 6, "B", 1.0)])
    assert re.sub("<sub.*?</sub>|<[^>]*>", "", html) == "abcdef"
    assert "B 100%" not in html


def test_texts_and_labels_are_escaped():
    shown = highlighted(EVIL, [(0, 4, EVIL, 1.0)]) + bars({EVIL: 0.5}, chosen=[EVIL])
    assert "<img" not in shown and shown.count("&lt;") >= 3


def test_bars_rank_and_stop():
    html = bars({f"l{n}": n / 20 for n in range(20)}, most=3)
    assert [html.index(f">l{n}<") for n in (19, 18, 17)] == sorted(html.index(f">l{n}<") for n in (19, 18, 17))
    assert ">l16<" not in html


def test_every_kind_of_answer_shows_itself():
    spans = (ScoredSpan(0, 1, "X", 0.5),)
    for said, scores in (
        (spans, {}),
        ((), {}),
        ("a", {"a": 0.9, "b": 0.1}),
        (("a",), {"a": 0.9}),
        ((), {"a": 0.1}),
        (1.5, {}),
    ):
        html = Prediction(id="1", text=EVIL, predicted=said, scores=scores)._repr_html_()
        assert "<img" not in html and "img" in html
    assert "1.5" in Prediction(id="1", text="a", pair=EVIL, predicted=1.5)._repr_html_()


def test_a_label_keeps_its_colour():
    assert hue("PER") == hue("PER")
    assert 0 <= hue("\ud800") < 360
