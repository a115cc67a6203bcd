"""The sample of messages to a travel desk is what its source gives, and serves the task it was written for."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tunesmith.core.example import LabelAndSpans
from tunesmith.prepare.reading import detect, read

SAMPLES = Path(__file__).parents[3] / "samples"


@pytest.fixture(scope="module")
def build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_travel", SAMPLES / "build_travel.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_sample_keeps_its_rules(build: ModuleType) -> None:
    assert list(build.problems()) == []
    for path, written in build.files().items():
        assert path.read_text(encoding="utf-8") == written
        rows = list(read(path, detect(path, given={"task": "joint_classification"}).format))
        golds = [row.gold for row in rows if isinstance(row.gold, LabelAndSpans)]
        assert len(golds) == len(rows) and {gold.label for gold in golds} == set(build.INTENTS)
        assert {span.label for gold in golds for span in gold.spans} == set(build.SLOTS)


def test_a_broken_rule_is_found(build: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = [
        build.Message(1, "train", "book", "To [[to:Bath]] at 9:30"),
        build.Message(2, "train", "book", "to [[to:York]]!"),
        build.Message(3, "test", "order", "TO [[to:York]]"),
    ]
    monkeypatch.setattr(build, "messages", lambda: iter(odd))
    assert [fault.partition(":")[2].strip() for fault in build.problems()] == [
        "a mark is broken or missing",
        "an unknown split, intent or slot",
        "the same pattern as line 2",
        "",
    ]
