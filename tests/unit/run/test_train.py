"""A run is stopped and goes on while it is judged, and keeps the step that serves best."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tunesmith.core.errors import ConfigError, DataError
from tunesmith.core.model import Model
from tunesmith.models import inference
from tunesmith.run.config import parsed
from tunesmith.run.events import Finished, Interrupted, Phase, RunEvent
from tunesmith.run.folder import opened
from tunesmith.run.train import run
from tunesmith.tune.events import Evaluated

SAMPLES = Path(__file__).parents[3] / "samples" / "support_en"
TEXTS = [pair for n in range(20) for pair in ((f"my card {n} is lost", "card"), (f"hello number {n}", "greeting"))]


def test_a_run_can_be_stopped_while_it_is_judged(tmp_path: Path, tiny_bert_folder: Path) -> None:
    table = {
        "backbone": str(tiny_bert_folder),
        "data": {"train": str(SAMPLES / "train.jsonl"), "limit": 60},
        "task": {"kind": "text_classification"},
        "train": {"length": "2 epochs", "precision": "fp32", "threads": 1},  # over before any save is due
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


@pytest.mark.parametrize("phase, passes", [("training", 3), ("judging", 1)])
def test_a_wish_to_stop_waited_until_all_rows_were_answered(
    tmp_path: Path, tiny_bert_folder: Path, monkeypatch: pytest.MonkeyPatch, phase: str, passes: int
) -> None:
    rows = [{"text": text, "label": label} for text, label in TEXTS]
    for name in ("rows.jsonl", "dev.jsonl"):
        write_rows(tmp_path / name, rows)
    config = parsed(small(tiny_bert_folder, dev="dev.jsonl"), folder=tmp_path)
    monkeypatch.setattr(inference, "batches_by_length", lambda lengths, _: [[index] for index in range(len(lengths))])
    seen: list[str] = []
    done = 0
    answered = Model.forward

    def forward(self: Model, *given: Any, **named: Any) -> Any:
        nonlocal done
        done += not self.training and seen[-1] == phase
        return answered(self, *given, **named)

    monkeypatch.setattr(Model, "forward", forward)
    wish = lambda: "SIGTERM" if done >= passes else None  # noqa: E731
    for event in run(config, opened(tmp_path / "run", resume=False), origins={}, should_stop=wish):
        seen += [event.name] if isinstance(event, Phase) else []
    assert isinstance(event, Interrupted) and event.signal == "SIGTERM" and seen[-1] == phase
    assert done == passes, "no further row was answered"
    *_, last = run(config, opened(tmp_path / "run", resume=True), origins={}, resume=True)
    assert isinstance(last, Finished)


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


@pytest.mark.parametrize("several", [True, False])
def test_gold_in_another_form_than_the_task_answers_in_is_judged(
    tmp_path: Path, tiny_bert_folder: Path, several: bool
) -> None:
    column = (lambda label: {"label": label}) if several else (lambda label: {"labels": [label]})
    write_rows(tmp_path / "rows.jsonl", [{"text": text} | column(label) for text, label in TEXTS])
    table = small(tiny_bert_folder, task={"kind": "text_classification", "multi_label": several})
    *_, last = run(parsed(table, folder=tmp_path), opened(tmp_path / "run", resume=False), origins={})
    assert isinstance(last, Finished)
    assert set(last.record["splits"]["test"]["baselines"]) == {"majority", "tfidf_logistic"}


@pytest.mark.parametrize(
    "key, changed",
    [
        ("method.rank", {"method": {"kind": "lora", "rank": 4}}),
        ("seed", {"seed": 1, "method": {"kind": "lora", "rank": 8}}),
        ("method.kind", {}),
    ],
)
def test_a_run_goes_on_only_as_what_it_began(
    tmp_path: Path, tiny_bert_folder: Path, key: str, changed: dict[str, Any]
) -> None:
    write_rows(tmp_path / "rows.jsonl", [{"text": text, "label": label} for text, label in TEXTS])
    began = small(tiny_bert_folder, method={"kind": "lora", "rank": 8})
    folder = opened(tmp_path / "run", resume=False)
    for event in run(parsed(began, folder=tmp_path), folder, origins={}, should_stop=lambda: "SIGINT"):
        assert not isinstance(event, Finished)
    before = {file: file.read_bytes() for file in folder.path.rglob("*") if file.is_file()}
    other = small(tiny_bert_folder, **changed)
    with pytest.raises(ConfigError) as caught:
        list(run(parsed(other, folder=tmp_path), folder, origins={}, resume=True))
    assert caught.value.place is not None and caught.value.place.key == key
    assert {file: file.read_bytes() for file in folder.path.rglob("*") if file.is_file()} == before


def test_other_dev_rows_are_refused_on_resuming(tmp_path: Path, tiny_bert_folder: Path) -> None:
    rows = [{"text": text, "label": label} for text, label in TEXTS]
    for name in ("rows.jsonl", "dev.jsonl"):
        write_rows(tmp_path / name, rows)
    config = parsed(small(tiny_bert_folder, dev="dev.jsonl"), folder=tmp_path)
    folder = opened(tmp_path / "run", resume=False)
    list(run(config, folder, origins={}, should_stop=lambda: "SIGINT"))
    write_rows(tmp_path / "dev.jsonl", rows[:-2])
    with pytest.raises(DataError, match=r"the dev rows changed .* sha256 [0-9a-f]{16} then, [0-9a-f]{16} now"):
        list(run(config, folder, origins={}, resume=True))


@pytest.mark.parametrize("shares", [{"dev": 0.0, "test": 0.0}, {"test": 0.0}])
def test_a_split_of_nothing_is_refused(tmp_path: Path, tiny_bert_folder: Path, shares: dict[str, float]) -> None:
    write_rows(tmp_path / "rows.jsonl", [{"text": text, "label": label} for text, label in TEXTS])
    table = small(tiny_bert_folder, split=shares)
    with pytest.raises(DataError, match="no rows for"):
        list(run(parsed(table, folder=tmp_path), opened(tmp_path / "run", resume=False), origins={}))


def write_rows(file: Path, rows: list[dict[str, Any]]) -> None:
    file.write_text("\n".join(map(json.dumps, rows)))


def small(
    backbone: Path,
    *,
    task: dict[str, Any] | None = None,
    method: dict[str, Any] | None = None,
    seed: int = 0,
    **data: Any,
) -> dict[str, Any]:
    """A run of seconds over rows.jsonl."""
    return {
        "seed": seed,
        "backbone": str(backbone),
        "data": {"train": "rows.jsonl"} | data,
        "task": task or {"kind": "text_classification"},
        "method": method or {"kind": "full"},
        "train": {"length": "1 epochs", "learning_rate": 1e-4, "precision": "fp32", "threads": 1},
    }
