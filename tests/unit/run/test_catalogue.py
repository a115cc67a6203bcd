"""Every state of a run is told from what lies in its folder, and no folder makes the listing fail."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tunesmith.core.errors import MissingInputError, UsageError
from tunesmith.run.catalogue import Row, catalogue
from tunesmith.run.journal import Journal
from tunesmith.run.lock import holder, locked

DEEP = "deep/läufe [bold]"


def listed(folder: Path, **options: str) -> dict[str, Row]:
    return {row.name: row for row in catalogue(folder, **options)}


def test_finished_runs_carry_their_score_and_cost(runs: Path) -> None:
    rows = listed(runs)
    assert list(rows) == [DEEP, "full"], "newest first, wherever it lies"
    row = rows["full"]
    assert (row.state, row.detail, row.task, row.method) == ("finished", "", "text_classification", "full")
    report = json.loads((runs / "full" / "report.json").read_text(encoding="utf-8"))
    assert row.score is not None
    assert (row.score.split, row.score.metric) == ("test", "accuracy")
    measured = report["splits"]["test"]["metrics"]["accuracy"]
    assert {"value": row.score.value, "low": row.score.low, "high": row.score.high} == measured
    assert (row.seconds, row.tokens_per_second) == (report["cost"]["seconds"], report["cost"]["tokens_per_second"])
    assert row.peak_rss_mb == report["cost"]["peak_rss_mb"]
    assert row.began is not None and abs(time.time() - row.began) < 3600


def test_a_killed_run_is_interrupted_and_says_where(runs: Path, cut_short: Callable[..., None]) -> None:
    cut_short(runs / "full", lines=9, half=True)
    row = listed(runs)["full"]
    assert row.state == "interrupted"
    assert "without saying why; saved at step 5" in row.detail
    assert row.done is not None and 0 < row.done < 1
    assert row.seconds and row.tokens_per_second and row.peak_rss_mb is None


def test_before_the_first_step_there_is_nothing_to_go_on_from(runs: Path, cut_short: Callable[..., None]) -> None:
    cut_short(runs / "full", lines=0)
    assert (listed(runs)["full"].state, listed(runs)["full"].detail) == ("interrupted", "ended before its first step")
    (runs / "full" / "journal.jsonl").unlink()
    assert listed(runs)["full"].state == "interrupted"
    assert listed(runs)["full"].began is not None


def test_a_signal_stops_a_run_and_its_last_score_is_marked_dev(runs: Path, cut_short: Callable[..., None]) -> None:
    run = runs / "full"
    lines = (run / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    scored = next(n for n, line in enumerate(lines) if '"evaluated"' in line)
    cut_short(run, lines=scored + 1)
    step = json.loads(lines[scored])["step"]
    stopped = {"step": step, "epoch": 1.0, "reason": "SIGTERM", "best_score": 0.5, "best_step": step}
    Journal(run / "journal.jsonl").write("stopped", stopped | {"tokens": 1, "seconds": 1.0})
    row = listed(runs)["full"]
    assert (row.state, row.detail.partition(";")[0]) == ("stopped", f"by SIGTERM at step {step}")
    assert row.score is not None
    assert (row.score.split, row.score.metric, row.score.low) == ("dev", "accuracy", None)
    assert row.score.value == json.loads(lines[scored])["score"]


def test_a_run_that_goes_on_after_a_stop_is_running_and_not_stopped(runs: Path, cut_short: Callable[..., None]) -> None:
    run = runs / "full"
    cut_short(run, lines=9)
    facts = {"step": 7, "epoch": 1.0, "best_score": None, "best_step": None, "tokens": 1, "seconds": 1.0}
    Journal(run / "journal.jsonl").write("stopped", facts | {"reason": "SIGINT"})
    with locked(run):
        assert "reading the data, to go on from step 5" in listed(runs)["full"].detail
        started = json.loads((run / "journal.jsonl").read_text(encoding="utf-8").splitlines()[0])
        Journal(run / "journal.jsonl").write("started", {**started, "step": 5, "event": "started"})
        row = listed(runs)["full"]
        assert row.state == "running"
        assert row.detail.startswith("step 5 of ") and f"pid {os.getpid()}" in row.detail
    row = listed(runs)["full"]
    assert (row.state, "without saying why" in row.detail) == ("interrupted", True)


def test_a_running_run_shows_its_stage(runs: Path, cut_short: Callable[..., None]) -> None:
    begun = runs / "new"
    begun.mkdir()
    with locked(begun), locked(runs / "full"):
        rows = listed(runs)
        assert (rows["new"].state, rows["new"].detail.split(" (")[0]) == ("running", "reading the data")
        assert (rows["full"].state, rows["full"].detail.split(" (")[0]) == ("running", "judging")
    assert listed(runs)["new"].state == "broken", "it ended before it wrote down what it is"


def test_trained_but_not_judged_is_interrupted(runs: Path, cut_short: Callable[..., None]) -> None:
    cut_short(runs / "full", lines=10_000)
    row = listed(runs)["full"]
    assert row.state == "interrupted" and "trained, but not judged" in row.detail


@pytest.mark.parametrize(
    "name, text, wrong",
    [
        ("config.json", "{", "config.json is damaged: not JSON"),
        ("config.json", "[]", "config.json is damaged: it holds no object"),
        ("config.json", '{"model_type": "bert"}', "config.json was not written by a run"),
        ("report.json", '{"schema": 1}', "report.json is damaged or of another version"),
        ("report.json", '{"schema": NaN}', "report.json is damaged: NaN is not JSON"),
        ("split.json", "\x00", "split.json is damaged"),
        ("journal.jsonl", "nothing\nat all\n", "journal.jsonl is damaged: its first line is no event"),
        ("journal.jsonl", '{"event": "step", "time": 1}\n', "journal.jsonl is damaged: an event lacks its facts"),
        ("journal.jsonl", '{"event": "started"}\n', "journal.jsonl is damaged"),
    ],
)
def test_damage_is_a_row_that_says_what_is_wrong(runs: Path, name: str, text: str, wrong: str) -> None:
    (runs / "full" / name).write_text(text, encoding="utf-8")
    rows = listed(runs)
    assert rows["full"].state == "broken"
    assert wrong in rows["full"].detail
    assert rows[DEEP].state == "finished"
    json.dumps([row.as_record() for row in rows.values()], allow_nan=False)


def test_strangers_are_named_or_left_alone(runs: Path) -> None:
    (runs / "notes").mkdir()
    (runs / "notes" / "thoughts.txt").write_text("...", encoding="utf-8")
    (runs / "model").mkdir()
    (runs / "model" / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    (runs / "loop").symlink_to(runs)
    rows = listed(runs)
    assert set(rows) == {"full", DEEP, "model"}
    assert rows["model"].state == "broken"
    bundle = listed(runs / "full" / "bundle")["bundle"]
    assert (bundle.state, bundle.detail) == ("broken", "a bundle, not a run")


def test_a_run_itself_can_be_listed(runs: Path) -> None:
    assert list(listed(runs / "full")) == ["full"]


def test_orders_and_one_kind_of_task(runs: Path) -> None:
    scores = [row.score.value for row in catalogue(runs, order="score") if row.score]
    assert scores == sorted(scores, reverse=True)
    assert [row.name for row in catalogue(runs, order="name")] == [DEEP, "full"]
    seconds = [row.seconds or 0 for row in catalogue(runs, order="seconds")]
    assert seconds == sorted(seconds)
    (runs / "full" / "report.json").write_text("{", encoding="utf-8")
    assert [row.name for row in catalogue(runs, order="state")] == [DEEP, "full"]
    assert catalogue(runs, task="pair_matching") == []
    with pytest.raises(UsageError, match="cannot sort by 'size'"):
        catalogue(runs, order="size")


def test_no_folder_is_an_error_and_an_empty_one_is_not(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError):
        catalogue(tmp_path / "nowhere")
    assert catalogue(tmp_path) == []


def test_looking_at_a_lock_neither_takes_nor_breaks_it(tmp_path: Path) -> None:
    assert holder(tmp_path) is None
    assert not (tmp_path / ".lock").exists()
    with locked(tmp_path):
        assert holder(tmp_path) == f"pid {os.getpid()}"
    assert holder(tmp_path) is None
    with locked(tmp_path):
        pass


def test_a_look_at_the_lock_does_not_stop_a_run_from_beginning(tmp_path: Path) -> None:
    import fcntl
    import threading

    with locked(tmp_path):
        pass
    looking = os.open(tmp_path / ".lock", os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)
    threading.Timer(0.03, os.close, (looking,)).start()
    with locked(tmp_path):
        assert holder(tmp_path)
