"""The sample of questions is what its source gives, and every answer stands where it says."""

import importlib.util
from pathlib import Path

from tunesmith.prepare.reading import detect, read

SAMPLES = Path(__file__).parents[3] / "samples"


def test_the_sample_keeps_its_rules() -> None:
    spec = importlib.util.spec_from_file_location("build_questions", SAMPLES / "build_questions.py")
    assert spec is not None and spec.loader is not None
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    assert list(build.problems()) == []
    texts: dict[str, set[str]] = {}
    for path, written in build.files().items():
        assert path.read_text(encoding="utf-8") == written
        finding = detect(path)
        rows = list(read(path, finding.format))
        assert finding.task == "extractive_qa" and any(row.gold == () for row in rows)
        texts[path.stem] = {row.text for row in rows}
    assert texts["train"].isdisjoint(texts["dev"] | texts["test"]) and texts["dev"].isdisjoint(texts["test"])
