"""A plan is ordered, true to what a run then writes, leaves nothing behind, and says what would make a run fit."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tunesmith.core.errors import DataError, MemoryLimitError
from tunesmith.run.config import parsed
from tunesmith.run.folder import opened
from tunesmith.run.plan import Plan, planned
from tunesmith.run.prober import CutShort, probe
from tunesmith.run.train import run

TEXTS = [pair for n in range(60) for pair in ((f"my card {n} is lost", "card"), (f"hello number {n}", "greeting"))]


def write(folder: Path, backbone: Path) -> dict[str, Any]:
    """Rows in `folder`, and a configuration for them."""
    rows = [json.dumps({"text": text, "label": label}) for text, label in TEXTS]
    (folder / "rows.jsonl").write_text("\n".join(rows), encoding="utf-8")
    train = {"length": "2 epochs", "batch_size": 1, "accumulate": 8, "gradient_checkpointing": True, "patience": 5}
    train |= {"precision": "bf16", "threads": 1, "evaluate_every": "0.5 epochs", "save_every": "5 steps"}
    return {"backbone": str(backbone), "data": {"train": "rows.jsonl"}, "train": train}


def plan_in(folder: Path, table: dict[str, Any], **given: Any) -> Plan:
    return planned(table, folder=folder, target=folder / "runs" / "mine", **given)


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made, empty."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def test_a_plan_is_what_the_run_then_is(tmp_path: Path, tiny_bert_folder: Path, scratch: Path) -> None:
    table = write(tmp_path, tiny_bert_folder)
    said: list[str] = []
    plan = plan_in(tmp_path, table, tell=said.append)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["rows.jsonl", "scratch"] and not any(scratch.iterdir())
    assert {"reading", "judging", "bundling"} <= set(said) and any("training: step 9 of" in text for text in said)
    made = plan.forecast
    assert made is not None and (made.device, made.precision) == ("cpu", "bf16")
    assert made.heaviest in ("training", "judging")
    for figure in (made.seconds, made.memory, made.running, made.bundle):
        assert 0 < figure.low <= figure.value <= figure.high < 4 * figure.low
    assert sum(made.stages.values()) == pytest.approx(made.seconds.value)
    (lesson,) = made.lessons
    assert (lesson.name, lesson.steps.value, lesson.evaluations, lesson.saves) == ("training", 24, 4, 5)
    assert plan.fits == "yes" and plan.remedies == ()  # patience cannot end a run of four evaluations
    folder = opened(tmp_path / "run", resume=False)
    list(run(parsed(table, folder=tmp_path), folder, origins={}))
    bundle = sum(file.stat().st_size for file in folder.bundle.iterdir())
    assert made.bundle.low <= bundle <= made.bundle.high
    kept = sum(file.stat().st_size for file in folder.path.rglob("*") if file.is_file())
    assert kept <= made.running.high


def test_a_wish_to_stop_ends_the_probe_and_leaves_nothing(
    tmp_path: Path, tiny_bert_folder: Path, scratch: Path
) -> None:
    said: list[str] = []
    with pytest.raises(CutShort):
        plan_in(
            tmp_path,
            write(tmp_path, tiny_bert_folder),
            tell=said.append,
            should_stop=lambda: "SIGINT" if said else None,
        )
    assert not any(scratch.iterdir()) and not probes()


@pytest.mark.parametrize("ended_by, means", [(signal.SIGKILL, MemoryLimitError), (signal.SIGSEGV, RuntimeError)])
def test_a_probe_that_is_killed_has_run_out_of_memory_and_one_that_breaks_has_not(
    tmp_path: Path, tiny_bert_folder: Path, scratch: Path, ended_by: signal.Signals, means: type[Exception]
) -> None:
    def end(_: str) -> None:
        for process in probes():
            os.kill(process, ended_by)

    with pytest.raises(means, match="the probe"):
        probe(write(tmp_path, tiny_bert_folder), folder=tmp_path, tell=end)
    assert not any(scratch.iterdir())


def test_what_would_stop_the_run_stops_the_plan(tmp_path: Path, tiny_bert_folder: Path) -> None:
    table = write(tmp_path, tiny_bert_folder)
    (tmp_path / "rows.jsonl").write_text('{"text": "a", "label": "b"}\n{"text": "c"\n', encoding="utf-8")
    with pytest.raises(DataError) as refused:
        plan_in(tmp_path, table)
    assert refused.value.place is not None and refused.value.place.line == 2


def test_silver_pairs_are_a_lesson_of_their_own(tmp_path: Path, tiny_bert_folder: Path) -> None:
    things = ["a red bicycle", "two grey cats", "the morning train", "fresh bread", "an old violin"]
    near = [(f"{a} near the house", f"there is {a} by the house", 4.5) for a in things] * 4
    far = [(f"{a} in the garden", f"nobody saw {b} this year", 0.5) for a in things for b in things if a != b]
    rows = [json.dumps({"text": a, "pair": b, "score": score}) for a, b, score in (*near, *far)]
    (tmp_path / "pairs.jsonl").write_text("\n".join(rows), encoding="utf-8")
    table = {
        "backbone": str(tiny_bert_folder),
        "data": {"train": "pairs.jsonl", "dev": "pairs.jsonl", "test": "pairs.jsonl"},
        "silver": {"pairs": 20, "batch_size": 8},
        "task": {"kind": "pair_matching"},
        "train": {"length": "2 epochs", "precision": "fp32", "threads": 1, "batch_size": 8},
    }
    made = plan_in(tmp_path, table).forecast
    assert made is not None and made.stages["pairing"] > 0
    assert [(lesson.name, lesson.steps.value) for lesson in made.lessons] == [("silver", 8), ("training", 10)]


def probes() -> list[int]:
    """Processes that probe for this one."""
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text(encoding="ascii").split()
    return [int(child) for child in children if b"probe_process" in Path(f"/proc/{child}/cmdline").read_bytes()]
