import json
from pathlib import Path

import pytest

from tunesmith.core.errors import DataError
from tunesmith.run.config import parsed
from tunesmith.run.data import load


def written(file: Path, rows: list[tuple[str, str]]) -> Path:
    file.write_text("".join(f"{json.dumps({'text': t, 'label': label})}\n" for t, label in rows), encoding="utf-8")
    return file


def rows(count: int, labels: str = "abcd") -> list[tuple[str, str]]:
    return [(f"text number {n}", label) for label in labels for n in range(count)]


def test_missing_splits_are_taken_from_training_and_written_down(tmp_path: Path) -> None:
    written(tmp_path / "train.jsonl", [(f"{t} {label}", label) for t, label in rows(25)])
    data = load(parsed({"data": {"train": "train.jsonl"}}, folder=tmp_path))
    assert {name: len(part) for name, part in data.splits().items()} == {"train": 80, "dev": 10, "test": 10}
    assert data.record["counts"] == {"train": 80, "dev": 10, "test": 10}
    ids = [example.id for part in data.splits().values() for example in part]
    assert len(set(ids)) == 100
    again = load(parsed({"data": {"train": "train.jsonl"}}, folder=tmp_path))
    assert again.record == data.record
    other = load(parsed({"seed": 1, "data": {"train": "train.jsonl"}}, folder=tmp_path))
    assert other.record["fingerprint"] != data.record["fingerprint"]


def test_a_limit_takes_rows_from_everywhere_in_a_sorted_file(tmp_path: Path) -> None:
    written(tmp_path / "train.jsonl", [(f"{t} {label}", label) for t, label in rows(50)])
    written(tmp_path / "test.jsonl", [(f"new {t} {label}", label) for t, label in rows(50)])
    config = parsed({"data": {"train": "train.jsonl", "test": "test.jsonl", "limit": 20}}, folder=tmp_path)
    data = load(config)
    assert {example.gold for example in data.train} == set("abcd")
    assert len(data.test) == 20
    assert len(data.train) + len(data.dev) == 20


def test_a_label_that_training_lacks_is_refused_at_its_line(tmp_path: Path) -> None:
    written(tmp_path / "train.jsonl", rows(5))
    written(tmp_path / "test.jsonl", [("fine", "a"), ("not fine", "aa")])
    config = parsed({"data": {"train": "train.jsonl", "test": "test.jsonl"}}, folder=tmp_path)
    with pytest.raises(DataError, match=r"test\.jsonl:2"):
        load(config)


def test_a_split_without_rows_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "train.jsonl", rows(1, "ab"))
    config = parsed({"data": {"train": "train.jsonl", "split": {"dev": 0.0, "test": 0.5}}}, folder=tmp_path)
    with pytest.raises(DataError):
        load(config)


def test_questions_about_one_text_share_a_split(tmp_path: Path) -> None:
    asked = [
        {"context": f"Person {n} has {m} cats.", "question": f"How many {word}?", "answers": [str(m)]}
        for n in range(20)
        for m, word in ((n + 3, "cats"), (n + 3, "animals"), (n + 3, "pets"))
    ]
    (tmp_path / "train.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in asked), encoding="utf-8")
    data = load(parsed({"data": {"train": "train.jsonl"}}, folder=tmp_path))
    texts = [{example.text for example in part} for part in data.splits().values()]
    assert all(texts) and sum(map(len, texts)) == 20
