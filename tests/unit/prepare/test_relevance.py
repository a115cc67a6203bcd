"""Rows become questions with the documents that answer them."""

from pathlib import Path

import pytest

from tunesmith.core.errors import DataError
from tunesmith.core.example import Document, Example, Relevant, Source
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.prepare.audit import audit
from tunesmith.prepare.reading import detect, read
from tunesmith.prepare.relevance import documents_of, questions_of, require_known
from tunesmith.prepare.search_audit import audited_apart


def grade(example: Example) -> float:
    return float(example.gold) if isinstance(example.gold, float) else 1.0


def rows(*given: tuple[str, str | None, float | None]) -> list[Example]:
    return [
        Example(id=f"r{n}", text=text, pair=pair, gold=gold, source=Source("rows", n))
        for n, (text, pair, gold) in enumerate(given, start=1)
    ]


def test_rows_of_one_question_are_merged() -> None:
    examples = rows(
        ("q", "a", None), ("p", "b", 0.0), ("q", "b", 2.0), ("q", "b", 3.0), ("p", "a", 1.0), ("o", "c", 0.0)
    )
    documents = documents_of(examples)
    assert [document.text for document in documents] == ["a", "b", "c"]
    assert documents_of(reversed(examples))[0] == documents[2], "a document keeps its name"
    a, b, _ = (document.id for document in documents)
    first, second = questions_of(examples, documents, grade)
    assert (first.id, first.pair, first.source.line) == ("r1", None, 1)
    assert first.gold == (Relevant(a, "a", 1.0), Relevant(b, "b", 3.0))
    assert (second.id, second.gold) == ("r5", (Relevant(a, "a", 1.0),))


def test_a_document_that_cannot_be_found_counts_or_is_refused() -> None:
    examples, documents = rows(("q", "a", None), ("q", "b", None)), [Document("7", "a")]
    (question,) = questions_of(examples, documents, grade)
    assert isinstance(question.gold, tuple) and len(question.gold) == 2
    with pytest.raises(DataError, match=r"not among data\.documents") as caught:
        require_known(documents, examples)
    assert str(caught.value.place) == "rows:2"


def test_an_audit_measures_both_texts_and_finds_questions_that_leak(tiny_tokenizer: Tokenizer) -> None:
    train = rows(("where is it", "look " * 100, None), ("who are you", "us", None))
    test = rows(("Where  is it", "another document", None), ("a new one", "look " * 100, None))
    splits = {"train": train, "test": test}
    report = audited_apart(audit(splits), splits, tokenizer=tiny_tokenizer, max_length=None)
    sections = {section.title: section for section in report.sections}
    assert sections["Leaks between splits"].status == "fail"
    assert "1 of 2 evaluation rows" in sections["Leaks between splits"].summary
    assert sections["Length"].summary.startswith("2 text(s) exceed the window of 64 tokens and are CUT")
    assert [(row["split"], row["text"]) for row in sections["Length"].rows[:2]] == [
        ("train", "question"),
        ("train", "document"),
    ]
    clean = {"train": train[1:], "test": test[1:]}
    found = audited_apart(audit(clean), clean, tokenizer=tiny_tokenizer, max_length=200)
    assert next(s.status for s in found.sections if s.title == "Leaks between splits") == "ok"


def test_two_texts_and_nothing_else_are_taken_for_a_search(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"query": "where is it?", "passage": "over there"}\n{"query": "who?", "passage": "us all"}\n')
    finding = detect(file)
    assert finding.task == "retrieval"
    assert [(row.text, row.pair, row.gold) for row in read(file, finding.format)] == [
        ("where is it?", "over there", None),
        ("who?", "us all", None),
    ]
    file.write_text('{"query": "where is it?", "passage": "over there", "label": "no"}\n' * 2)
    asked = detect(file, given={"task": "retrieval"})
    assert next(read(file, asked.format)).gold == "no"
