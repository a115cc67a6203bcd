"""The certificate finds what does not survive, names its line, and refuses above the limit."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tunesmith.core.errors import DataError
from tunesmith.core.example import Example, Source, Span
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.prepare.alignment import Scheme, units_of
from tunesmith.prepare.certificate import Certificate, certify
from tunesmith.prepare.characters import LEVELS, Level

STRANGE = "ab Z19 中国京 é e\u0301 👍🏽 👨\u200d👩 🇩🇪 ﬁ ｓ ﷺ …\u200b\ufeff\u00ad . , नमस्ते  \u3000"


def example(text: str, *spans: Span, line: int = 1, words: tuple[tuple[int, int], ...] | None = None) -> Example:
    return Example(id=f"x{line}", text=text, source=Source("train.jsonl", line), gold=spans, words=words)


def of(tokenizer: Tokenizer, *examples: Example, level: Level = "words", max_length: int | None = None) -> Certificate:
    return certify(examples, tokenizer, level=level, scheme="BIO", max_length=max_length)


@st.composite
def annotated(draw: st.DrawFn) -> tuple[Level, Example]:
    """A strange text with entities on the borders of its units, with trailing blanks around."""
    text = draw(st.text(st.sampled_from(STRANGE), max_size=30)) + draw(st.sampled_from(["", " ", "  ", "\u3000\n"]))
    level = draw(st.sampled_from(LEVELS))
    units = units_of(text, level)
    chosen = [index for index in range(len(units)) if draw(st.booleans())]
    return level, example(text, *(Span(*units[index], draw(st.sampled_from("AB"))) for index in chosen))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=annotated(), scheme=st.sampled_from(["BIO", "BIOES"]))
def test_no_entity_is_lost_whatever_the_tokenizer_does(
    trained_tokenizer: Tokenizer, case: tuple[Level, Example], scheme: Scheme
) -> None:
    level, one = case
    found = certify([one], trained_tokenizer, level=level, scheme=scheme)
    assert found.clean, found.faults
    assert found.total == len(set(one.gold))  # type: ignore[arg-type]


def test_entities_with_trailing_blanks_are_trimmed_not_lost(trained_tokenizer: Tokenizer) -> None:
    found = of(trained_tokenizer, example("in Rome \n", Span(3, 9, "LOC")))
    assert (found.total, found.exact, found.repaired, found.loss) == (1, 0, 1, 0.0)
    found.require(0.0)


def test_each_fault_names_its_line(trained_tokenizer: Tokenizer) -> None:
    good = example("Ann in Rome", Span(0, 3, "PER"), Span(7, 11, "LOC"), line=3)
    inside = example("iPhone12 now", Span(0, 6, "PRO"), line=7)
    nested = example("New York", Span(0, 8, "LOC"), Span(4, 8, "LOC"), line=9)
    found = of(trained_tokenizer, good, inside, nested)
    assert (found.total, found.exact, found.repaired, found.lossy, found.truncated) == (5, 3, 1, 1, 0)
    assert [(fault.kind, fault.source.line, fault.text) for fault in found.faults] == [
        ("repaired", 7, "iPhone"),
        ("lossy", 9, "York"),
    ]
    assert "0-6 (now 0-8)" in found.faults[0].describe()
    assert of(trained_tokenizer, inside, level="classes").clean


def test_a_word_longer_than_a_window_is_truncated(trained_tokenizers: dict[str, Tokenizer]) -> None:
    long = example("x1" * 200 + " Rome", Span(0, 400, "ID"), Span(401, 405, "LOC"))
    found = of(trained_tokenizers["byte_bpe"], long)
    assert (found.total, found.exact, found.truncated) == (2, 1, 1)
    assert found.loss == 0.5
    assert of(trained_tokenizers["byte_bpe"], example("x1x1x1x1", Span(0, 8, "ID")), max_length=8).truncated == 1


def test_too_much_loss_is_refused_with_the_first_lines(trained_tokenizer: Tokenizer) -> None:
    bad = [example("New York", Span(0, 8, "LOC"), Span(4, 8, "LOC"), line=line) for line in range(2, 12)]
    with pytest.raises(DataError, match=r"10 of 20 entities \(50.00%\)") as caught:
        of(trained_tokenizer, *bad).require()
    assert caught.value.code == "TS-ALIGN-001"
    assert str(caught.value.place) == "train.jsonl:2"
    assert "train.jsonl:6" in str(caught.value)
    assert "and 5 more" in str(caught.value)
    of(trained_tokenizer, *bad).require(0.5)


def test_file_words_are_the_units(trained_tokenizer: Tokenizer) -> None:
    one = example("U.N. chief", Span(0, 4, "ORG"), words=((0, 4), (5, 10)))
    assert of(trained_tokenizer, one).clean


def test_examples_without_entities_and_of_other_tasks_count_nothing(trained_tokenizer: Tokenizer) -> None:
    other = Example(id="1", text="a", source=Source("f", 1), gold=("joy",))
    found = of(trained_tokenizer, other, example("b"))
    assert (found.total, found.loss, found.clean) == (0, 0.0, True)


def test_the_record_is_json(trained_tokenizer: Tokenizer) -> None:
    record = of(trained_tokenizer, example("iPhone12", Span(0, 6, "PRO"))).as_record()
    assert json.loads(json.dumps(record))["faults"][0]["became"] == {"start": 0, "end": 8}
    assert record["repaired"] == 1
