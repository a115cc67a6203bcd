"""Which files are train, dev and test, told by their names."""

import pytest

from tunesmith.core.errors import DataError, MissingInputError
from tunesmith.prepare.split_files import split_files


def roles(tmp_path, *names: str, of: str = ".") -> dict[str, str]:
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    return {role: str(path.relative_to(tmp_path)) for role, path in split_files(tmp_path / of).items()}


@pytest.mark.parametrize(
    "names, expected",
    [
        (("train.csv", "dev.csv", "test.csv"), {"train": "train.csv", "dev": "dev.csv", "test": "test.csv"}),
        (
            ("eng.train", "eng.testa", "eng.testb", "corrected_test.txt", "README.md"),
            {"train": "eng.train", "dev": "eng.testa", "test": "eng.testb"},
        ),
        (
            ("train_0.json", "train_1.json", "dev_0.json", "dev_1.json", "test_public.json"),
            {"train": "train_0.json", "dev": "dev_0.json", "test": "test_public.json"},
        ),
        (("only.csv",), {"train": "only.csv"}),
        (
            ("train/seq.in", "valid/seq.in", "test/seq.in"),
            {"train": "train", "dev": "valid", "test": "test"},
        ),
        (("train.jsonl", "contest.jsonl", "evaluate.jsonl"), {"train": "train.jsonl"}),
    ],
)
def test_folders(tmp_path, names, expected):
    assert roles(tmp_path, *names) == expected


def test_a_training_file_finds_its_siblings_of_the_same_kind(tmp_path):
    assert roles(tmp_path, "train.csv", "test.csv", "dev.jsonl", of="train.csv") == {
        "train": "train.csv",
        "test": "test.csv",
    }
    assert roles(tmp_path, "reviews.csv", of="reviews.csv") == {"train": "reviews.csv"}
    assert roles(tmp_path, "a/seq.in", "train/seq.in", "dev/seq.in", of="train") == {"train": "train", "dev": "dev"}


def test_refusals(tmp_path):
    with pytest.raises(MissingInputError):
        split_files(tmp_path / "none")
    with pytest.raises(DataError, match=r"a\.csv, b\.csv"):
        roles(tmp_path, "a.csv", "b.csv")
