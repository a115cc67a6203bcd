"""A run is stopped and goes on while it is judged, and keeps the step that serves best."""

import json
from collections.abc import Iterator
from pathlib import Path

from tunesmith.run.config import parsed
from tunesmith.run.events import Finished, Interrupted, Phase, RunEvent
from tunesmith.run.folder import opened
from tunesmith.run.train import run
from tunesmith.tune.events import Evaluated

SAMPLES = Path(__file__).parents[3] / "samples" / "support_en"


def test_a_run_can_be_stopped_while_it_is_judged(tmp_path: Path, tiny_bert_folder: Path) -> None:
    table = {
        "backbone": str(tiny_bert_folder),
        "data": {"train": str(SAMPLES / "train.jsonl"), "limit": 60},
        "task": {"kind": "text_classification"},
        "train": {"length": "2 epochs", "precision": "fp32", "threads": 1, "save_every": "3 steps"},
    }
    config = parsed(table, folder=tmp_path)
    seen: list[RunEvent] = []

    def events(*, resume: bool) -> Iterator[RunEvent]:
        folder = opened(tmp_path / "run", resume=resume)
        return run(config, folder, origins={}, resume=resume, should_stop=lambda: wish)

    wish: str | None = None
    for event in events(resume=False):
        seen.append(event)
        if isinstance(event, Phase) and event.name == "judging":
            wish = "SIGTERM"
    assert isinstance(seen[-1], Interrupted)
    assert seen[-1].signal == "SIGTERM"
    assert not (tmp_path / "run" / "bundle").exists()
    wish = None
    last = list(events(resume=True))[-1]
    assert isinstance(last, Finished)
    assert (tmp_path / "run" / "bundle").is_dir()


def test_the_kept_step_is_the_one_that_answers_best_with_its_thresholds(tmp_path: Path, tiny_bert_folder: Path) -> None:
    rows = [("my card is lost", ["card", "lost"]), ("a new card please", ["card"]), ("hello there", [])]
    data = tmp_path / "rows.jsonl"
    lines = [json.dumps({"text": text, "labels": labels}) for text, labels in rows * 40]
    data.write_text("\n".join(lines))
    table = {
        "backbone": str(tiny_bert_folder),
        "data": {"train": "rows.jsonl", "dev": "rows.jsonl", "test": "rows.jsonl"},
        "task": {"kind": "text_classification", "multi_label": True},
        "train": {"length": "3 epochs", "learning_rate": 1e-4, "precision": "fp32", "threads": 1},
    }
    folder = opened(tmp_path / "run", resume=False)
    events = list(run(parsed(table, folder=tmp_path), folder, origins={}))
    kept = max(event.score for event in events if isinstance(event, Evaluated))
    finished = events[-1]
    assert isinstance(finished, Finished)
    served = finished.record["splits"]["dev"]["metrics"]["micro_f1"]["value"]
    assert 0.5 < round(kept, 6) == served
