"""The coarsest level at which the training entities survive."""

import pytest

from tunesmith.core.example import Example, Source, Span
from tunesmith.prepare.characters import Level
from tunesmith.prepare.unit_level import LevelChoice


def chosen(*examples: Example) -> Level:
    choice = LevelChoice()
    for example in examples:
        choice.see(example)
    return choice.level()


def raw(text: str, *spans: Span) -> Example:
    return Example(id="1", text=text, source=Source("f", 1), gold=spans)


def split(text: str, *words: tuple[int, int]) -> Example:
    return Example(id="1", text=text, source=Source("f", 1), gold=(), words=words)


@pytest.mark.parametrize(
    "example, level",
    [
        (raw("in Rome now", Span(3, 7, "LOC")), "words"),
        (raw("张三在北京", Span(0, 2, "PER"), Span(3, 5, "LOC")), "words"),
        (raw("iPhone12", Span(0, 6, "PRO")), "classes"),
        (raw("unhappy", Span(0, 2, "NEG")), "characters"),
        (raw("in Rome ", Span(3, 8, "LOC")), "words"),
        (raw("nothing here"), "words"),
    ],
)
def test_one_text(example: Example, level: Level) -> None:
    assert chosen(example) == level


def test_a_single_bad_border_does_not_push_everything_to_characters() -> None:
    good = [raw("in Rome now", Span(3, 7, "LOC"))] * 999
    bad, glued = raw("unhappy", Span(0, 2, "NEG")), raw("iPhone12", Span(0, 6, "PRO"))
    assert chosen(*good, bad) == "words"
    assert chosen(*good, bad, glued) == "classes"
    assert chosen(*good[:99], bad) == "characters"


def test_raw_texts_are_cut_as_the_file_cut_its_own() -> None:
    assert chosen(split("199 x", (0, 1), (1, 2), (2, 3), (4, 5))) == "characters"
    assert chosen(split("U.N. chief said", (0, 4), (5, 10), (11, 15))) == "words"
