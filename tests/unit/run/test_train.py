"""A wish to stop is granted while a model is judged, too; the run then goes on to the same report."""

from collections.abc import Iterator
from pathlib import Path

from tunesmith.run.config import parsed
from tunesmith.run.events import Finished, Interrupted, Phase, RunEvent
from tunesmith.run.folder import opened
from tunesmith.run.train import run

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
