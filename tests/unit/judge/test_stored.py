"""Predictions come back from disk as they were, and damage is named by line."""

from pathlib import Path

import pytest

from tunesmith.core.errors import DataError, MissingInputError, NumericsError, StorageError
from tunesmith.core.example import LabelAndSpans, Source, Span
from tunesmith.core.prediction import LabelAndScoredSpans, Prediction, ScoredSpan
from tunesmith.judge.stored import read_predictions, write_predictions

ROWS = [
    Prediction(
        id="1", text="北京 🙂", gold=(Span(0, 2, "LOC"),), predicted=(ScoredSpan(0, 2, "LOC", 0.5),),
        source=Source("a.jsonl", 3), group="g", words=((0, 2),), truncated=4,
    ),
    Prediction(id="2", text="line\nbreak", gold="a", predicted="b", scores={"a": 0.25, "b": 0.75}, confidence=0.75),
    Prediction(id="3", text="t", pair="u", gold=1.5, predicted=2.5),
    Prediction(id="4", text="t", gold=("a", "b"), predicted=()),
    Prediction(
        id="5", text="to Rome", gold=LabelAndSpans("go", (Span(3, 7, "to"),)), scores={"go": 0.9, "stay": 0.1},
        predicted=LabelAndScoredSpans("go", (ScoredSpan(3, 7, "to", 0.5),)), confidence=0.9,
    ),
]  # fmt: skip


def test_they_come_back_as_often_as_wanted(tmp_path: Path) -> None:
    file = tmp_path / "predictions.test.jsonl"
    assert write_predictions(file, ROWS) == 5
    stored = read_predictions(file)
    assert list(stored) == list(stored) == ROWS
    assert [path.name for path in tmp_path.iterdir()] == [file.name], "no temporary file is left"


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    file = tmp_path / "p.jsonl"
    write_predictions(file, ROWS)
    for damage in ('{"id": "5"', "[]", "3", '{"id": "5", "text": "t"}', '{"id":"5","text":"t","predicted":"a","x":1}'):
        file.write_text(file.read_text(encoding="utf-8").splitlines()[0] + f"\n{damage}\n", encoding="utf-8")
        with pytest.raises(DataError, match=r"p.jsonl:2.*TS-JUDGE-012"):
            list(read_predictions(file))


def test_a_missing_file_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="TS-JUDGE-011"):
        read_predictions(tmp_path / "none.jsonl")


def test_a_number_that_is_not_finite_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    rows = [ROWS[2], Prediction(id="x", text="t", predicted=float("nan"))]
    with pytest.raises(NumericsError, match="TS-JUDGE-013"):
        write_predictions(tmp_path / "p.jsonl", rows)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="TS-JUDGE-010"):
        write_predictions(tmp_path / "no" / "p.jsonl", ROWS)


def test_a_bad_byte_is_named_by_its_line(tmp_path: Path) -> None:
    file = tmp_path / "p.jsonl"
    write_predictions(file, ROWS[:1])
    with file.open("ab") as out:
        out.write(b'{"id": "\xff\n')
    with pytest.raises(DataError, match=r"p\.jsonl:2"):
        list(read_predictions(file))


def test_a_bad_byte_in_a_label_is_damage_and_no_other_label(tmp_path: Path) -> None:
    file = tmp_path / "p.jsonl"
    write_predictions(file, [ROWS[1], Prediction(id="5", text="t", gold="a#", predicted="a#")])
    file.write_bytes(file.read_bytes().replace(b"#", b"\xff", 1))
    with pytest.raises(DataError, match=r"p\.jsonl:2.*TS-JUDGE-012"):
        list(read_predictions(file))


def test_half_of_a_surrogate_pair_comes_back_too(tmp_path: Path) -> None:
    row = Prediction(id="1", text="a \ud83d b", gold="x", predicted="x")
    write_predictions(tmp_path / "p.jsonl", [row])
    assert list(read_predictions(tmp_path / "p.jsonl")) == [row]
