"""Questions in files: SQuAD's documents, flat rows, places that slip, rows without answer; each fault at its place."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tunesmith.core.errors import DataError
from tunesmith.core.example import Example
from tunesmith.prepare.question_audit import question_sections
from tunesmith.prepare.reading import Finding, detect, read

TEXT = "Anna Berg lives in Leeds. Her brother moved to Cork in 1998."


def written(tmp_path: Path, rows: list[dict[str, Any]], name: str = "rows.jsonl") -> Path:
    path = tmp_path / name
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    return path


def row(answers: Any, question: str = "Where does Anna live?", **more: Any) -> dict[str, Any]:
    return {"question": question, "context": TEXT, "answers": answers, **more}


def found(path: Path, **given: Any) -> tuple[Finding, list[Example]]:
    finding = detect(path, given=given)
    return finding, list(read(finding.path, finding.format))


def answers(example: Example) -> list[str]:
    assert isinstance(example.gold, tuple)
    return [example.text[span.start : span.end] for span in example.gold]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "value",
    [
        [{"text": "Leeds", "answer_start": 19}],
        [{"text": "Leeds", "start": 19}],
        {"text": ["Leeds"], "answer_start": [19]},
        ["Leeds"],
        "Leeds",
        [{"text": " Leeds ", "answer_start": 18}],
        [{"text": "Leeds", "answer_start": 21}],
        [{"text": "Leeds", "answer_start": -1}],
    ],
)
def test_every_shape_of_answers_is_read(value: Any, tmp_path: Path) -> None:
    finding, (example,) = found(written(tmp_path, [row(value)]))
    assert finding.task == "extractive_qa"
    assert (example.text, example.pair, answers(example)) == (TEXT, "Where does Anna live?", ["Leeds"])


def test_references_come_once_the_most_frequent_first(tmp_path: Path) -> None:
    starts = [(0, "Anna"), (0, "Anna Berg"), (0, "Anna Berg")]
    value = [{"text": text, "answer_start": start} for start, text in starts]
    _, (example,) = found(written(tmp_path, [row(value)]))
    assert answers(example) == ["Anna Berg", "Anna"]


@pytest.mark.parametrize(
    "more",
    [{"answers": []}, {"answers": {"text": [], "answer_start": []}}, {"answers": ["Leeds"], "is_impossible": True}],
)
def test_a_text_may_hold_no_answer(more: dict[str, Any], tmp_path: Path) -> None:
    path = written(tmp_path, [row([{"text": "Cork", "start": 47}], is_impossible=False), {**row([]), **more}])
    assert [answers(example) for example in found(path)[1]] == [["Cork"], []]


def test_a_misplaced_answer_is_noted(tmp_path: Path) -> None:
    finding, _ = found(written(tmp_path, [row([{"text": "Leeds", "answer_start": 20}])]))
    assert any("1 sampled answers stand near" in note for note in finding.notes)


@pytest.mark.parametrize(
    "value, code, message",
    [
        (
            [{"text": "Leeds", "start": 40}],
            "TS-DATA-046",
            "begin at character 40, but the text there is 'ved t'",
        ),
        ([{"text": "York", "start": 19}], "TS-DATA-046", "does not stand in the text"),
        ([{"text": " ", "start": 3}], "TS-DATA-046", "blank"),
        ([{"text": "Leeds", "start": "19"}], "TS-DATA-045", "no whole number"),
        ({"text": ["Leeds"], "start": []}, "TS-DATA-045", "two lists of one length"),
        ([3], "TS-DATA-045", "no text"),
        (3, "TS-DATA-045", "neither a list nor text"),
        (None, "TS-DATA-016", "no answers"),
    ],
)
def test_a_bad_answer_is_refused_at_its_line(value: Any, code: str, message: str, tmp_path: Path) -> None:
    good = [row([{"text": "Leeds", "start": 19}])] * 30
    path = written(tmp_path, [*good, row(value)])
    with pytest.raises(DataError) as caught:
        found(path)
    assert (caught.value.code, caught.value.place and caught.value.place.line) == (code, 31)
    assert message in caught.value.message


def test_stray_answers_may_be_dropped_where_others_stand(tmp_path: Path) -> None:
    path = written(tmp_path, [row([{"text": "York", "start": -1}, {"text": "Leeds", "start": 19}])])
    with pytest.raises(DataError, match="stray"):
        found(path)
    assert answers(found(path, stray="drop")[1][0]) == ["Leeds"]
    with pytest.raises(DataError):
        found(written(tmp_path, [row([{"text": "York", "start": -1}])]), stray="drop")


def test_questions_about_one_text_or_document_belong_together(tmp_path: Path) -> None:
    other = {**row(["Rome"]), "context": "Rome is old."}
    plain = found(written(tmp_path, [row(["Leeds"]), row(["Cork"], "And he?"), other]))[1]
    assert plain[0].group == plain[1].group != plain[2].group
    titled = found(written(tmp_path, [row(["Leeds"], title="a"), {**other, "title": "a"}]))[1]
    assert [example.group for example in titled] == ["a", "a"]


def squad(*qas: dict[str, Any]) -> dict[str, Any]:
    return {"version": "1.1", "data": [{"title": "People", "paragraphs": [{"context": TEXT, "qas": list(qas)}]}]}


@pytest.mark.parametrize("indent", [None, 1])
def test_the_documents_of_squad_are_read_with_the_place_of_every_question(indent: int | None, tmp_path: Path) -> None:
    qas = [
        {"id": "q1", "question": "Where does Anna live?", "answers": [{"text": "Leeds", "answer_start": 19}]},
        {"id": "q2", "question": "How old is she?", "answers": [], "is_impossible": True},
        {"id": "q3", "question": "Who moved?", "answers": [{"text": "Carl", "answer_start": 5}]},
    ]
    path = tmp_path / "squad.json"
    path.write_text(json.dumps(squad(*qas), indent=indent), encoding="utf-8")
    finding = detect(path)
    rows = read(finding.path, finding.format)
    first, second = next(rows), next(rows)
    assert [(e.id, e.group, answers(e)) for e in (first, second)] == [("q1", "People", ["Leeds"]), ("q2", "People", [])]
    with pytest.raises(DataError) as caught:
        next(rows)
    text = path.read_text(encoding="utf-8")
    place = caught.value.place
    assert place is not None and place.line is not None and place.column is not None
    offset = sum(len(line) for line in text.splitlines(keepends=True)[: place.line - 1]) + place.column - 1
    assert json.JSONDecoder().raw_decode(text, offset)[0]["id"] == "q3"


def test_paragraphs_may_stand_alone_under_other_names(tmp_path: Path) -> None:
    document = [
        {"context_id": "c1", "context_text": TEXT, "qas": [{"query_text": "In which year?", "answers": ["1998"]}]}
    ]
    path = tmp_path / "cmrc.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    (example,) = found(path)[1]
    assert (example.pair, answers(example), example.group) == ("In which year?", ["1998"], "c1")


def test_answers_in_a_table_are_found_in_the_text(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(f'question,context,answer\nWhere?,"{TEXT}",Leeds\nWhen?,"{TEXT}",1998\n', encoding="utf-8")
    finding, rows = found(path)
    assert finding.task == "extractive_qa" and [answers(example) for example in rows] == [["Leeds"], ["1998"]]


def test_a_blank_cell_is_no_answer_where_many_are(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    rows = [f'Where?,"{TEXT}",Leeds', f'Why?,"{TEXT}",', f'When?,"{TEXT}",1998']
    path.write_text("\n".join(["question,context,answer", *rows]), encoding="utf-8")
    finding, read_rows = found(path)
    assert any("without answer" in note for note in finding.notes)
    assert [answers(example) for example in read_rows] == [["Leeds"], [], ["1998"]]
    with pytest.raises(DataError, match="no answers"):
        found(path, absent="reject")


def test_a_label_that_happens_to_stand_in_a_text_is_no_answer(tmp_path: Path) -> None:
    rows = [{"query": f"is it {n}?", "passage": f"in 190{n % 2} it was {n}", "label": str(n % 2)} for n in range(30)]
    assert detect(written(tmp_path, rows)).task == "pair_matching"


def test_predictions_can_be_read_again(tmp_path: Path) -> None:
    later = {"text": "Leeds, not Leeds", "pair": "Where?", "answer": "Leeds", "start": 11, "end": 16, "confidence": 0.5}
    none = {"text": TEXT, "pair": "Why?", "answer": None, "confidence": 0.9}
    _, rows = found(written(tmp_path, [later, none]))
    assert [example.gold and example.gold[0].start for example in rows] == [11, ()]  # type: ignore[index,union-attr]


def test_answers_without_a_place_that_are_not_in_the_text_are_no_questions_about_it(tmp_path: Path) -> None:
    rows = [
        {"question": f"What is {n} + {n}?", "context": "Add the numbers.", "answers": [str(2 * n)]} for n in range(9)
    ]
    with pytest.raises(DataError, match="extractive_qa"):
        detect(written(tmp_path, rows))


def test_the_audit_counts_answers_and_names_texts_that_are_known(tmp_path: Path) -> None:
    train = found(written(tmp_path, [row(["Leeds"])], "train.jsonl"))[1]
    test = found(written(tmp_path, [row(["Cork"], "Where is he?"), row([], "Why?")], "test.jsonl"))[1]
    counted, known = question_sections({"train": train, "test": test}, level="words")
    assert counted.status == "warn" and "always answer" in counted.summary
    assert [section["without answer"] for section in counted.rows] == [0, 1]
    assert known.status == "warn" and known.summary.startswith("2 of 2")


@pytest.mark.parametrize(
    "name, count, options", [("xquad/xquad.en.json", 1190, {}), ("cmrc2018/train.json", 970, {"stray": "drop"})]
)
def test_real_files_are_read(name: str, count: int, options: dict[str, Any]) -> None:
    if "TUNESMITH_DATA" not in os.environ:
        pytest.skip("TUNESMITH_DATA is not set")
    finding, rows = found(Path(os.environ["TUNESMITH_DATA"]) / name, **options)
    assert finding.task == "extractive_qa" and len(rows) == count and all(answers(example) for example in rows)
