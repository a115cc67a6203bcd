"""The sample of order updates is what is composed, and no prompt stands in two splits."""

import importlib.util
from pathlib import Path

from tunesmith.prepare.reading import detect, read

SAMPLES = Path(__file__).parents[3] / "samples"


def test_the_sample_is_what_is_composed() -> None:
    spec = importlib.util.spec_from_file_location("build_updates", SAMPLES / "build_updates.py")
    assert spec is not None and spec.loader is not None
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    asked: list[str] = []
    for name, text in build.files().items():
        path = SAMPLES / "updates_en" / name
        assert path.read_text(encoding="utf-8") == text
        finding = detect(path)
        assert finding.task == "generation"
        asked += [row.text for row in read(path, finding.format)]
    assert len(asked) == len(set(asked)) == sum(build.SIZES.values())
