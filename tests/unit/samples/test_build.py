"""The samples keep the promises of samples/README.md."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

SAMPLES = Path(__file__).parents[3] / "samples"


@pytest.fixture(scope="module")
def build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("samples_build", SAMPLES / "build.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_sources_break_no_rule(build: ModuleType, language: str) -> None:
    assert build.faults(language) == []


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_the_written_files_equal_their_sources(build: ModuleType, language: str, split: str) -> None:
    written = (SAMPLES / f"support_{language}" / f"{split}.jsonl").read_text(encoding="utf-8")
    assert written == build.rows(language, split)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_span_is_inside_its_text_in_order_and_without_blanks_at_its_ends(language: str) -> None:
    for file in sorted((SAMPLES / f"support_{language}").glob("*.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            last = 0
            for entity in row["entities"]:
                surface = row["text"][entity["start"] : entity["end"]]
                assert last <= entity["start"] < entity["end"] <= len(row["text"]) and surface == surface.strip(), row[
                    "id"
                ]
                last = entity["end"]
            assert "[[" not in row["text"] and "]]" not in row["text"]


def test_a_repeated_sentence_pattern_is_found(build: ModuleType) -> None:
    first = build.Message("a:1", "train", "complaint", "Where is [[ORDER_ID:TR-1]]?")
    again = build.Message("a:2", "test", "complaint", "where is [[ORDER_ID:88]]")
    assert build._repeated_skeletons([first, again]) == ["a:2: same sentence pattern as a:1"]


def test_an_unmarked_date_is_found(build: ModuleType) -> None:
    assert build._line_faults(build.Message("a:1", "train", "complaint", "It broke on Friday."), "en") == [
        "a:1: unmarked 'Friday'"
    ]


def test_a_run_of_words_in_two_splits_is_found(build: ModuleType) -> None:
    train = build.Message("a:1", "train", "complaint", "one two three four five six seven")
    test = build.Message("a:2", "test", "complaint", "zero one two three four five six")
    assert build._shared_runs([train, test], 6) == ["a:2: 'one two three four five six' is also in a:1"]
