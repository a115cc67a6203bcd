"""Two real runs of seconds, for whatever reads run folders."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tunesmith.run.config import parsed
from tunesmith.run.events import Finished
from tunesmith.run.folder import opened
from tunesmith.run.train import run

TEXTS = [pair for n in range(60) for pair in ((f"my card {n} is lost", "card"), (f"hello number {n}", "greeting"))]


@pytest.fixture(scope="session")
def trained_runs(tiny_bert_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two finished runs, `full` and `deep/läufe [bold]`, of one file and two seeds. Copy to change it."""
    top = tmp_path_factory.mktemp("trained")
    rows = [json.dumps({"id": str(n), "text": text, "label": label}) for n, (text, label) in enumerate(TEXTS)]
    (top / "rows.jsonl").write_text("\n".join(rows), encoding="utf-8")
    for name, method, rate in (("full", "full", 3e-3), ("deep/läufe [bold]", "head_only", 1e-4)):
        table = {
            "backbone": str(tiny_bert_folder),
            "data": {"train": "rows.jsonl"},
            "task": {"kind": "text_classification"},
            "method": {"kind": method},
            "train": {"length": "3 epochs", "learning_rate": rate, "precision": "fp32", "threads": 1}
            | {"save_every": "5 steps"},
        }
        origins = {"data.train": "file", "train.learning_rate": "flag", "method.kind": "file", "seed": "default"}
        *_, last = run(parsed(table, folder=top), opened(top / "runs" / name, resume=False), origins=origins)
        assert isinstance(last, Finished)
    return top / "runs"


@pytest.fixture
def runs(trained_runs: Path, tmp_path: Path) -> Path:
    """A copy of `trained_runs` that may be changed."""
    return Path(shutil.copytree(trained_runs, tmp_path / "runs"))


@pytest.fixture
def cut_short() -> Callable[..., None]:
    """`cut_short(run, lines=9)`: what a run leaves that was killed after so many lines of its journal."""

    def cut(folder: Path, *, lines: int, half: bool = False) -> None:
        shutil.rmtree(folder / "bundle")
        (folder / "report.json").unlink()
        for split in ("dev", "test"):
            (folder / f"predictions.{split}.jsonl").unlink()
        kept = (folder / "journal.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
        text = "".join(kept[:lines]) + (kept[lines][: len(kept[lines]) // 2] if half else "")
        (folder / "journal.jsonl").write_text(text, encoding="utf-8")

    return cut
