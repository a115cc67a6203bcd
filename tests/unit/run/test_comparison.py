"""Methods side by side: what is finished stays, what fails takes nothing with it, and tests see the same rows."""

import json
import shutil
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tunesmith.core.errors import ConfigError
from tunesmith.judge.paired import paired_test
from tunesmith.judge.stored import read_predictions
from tunesmith.run.cells import Cell, Doing, Ended, cells, ran, require_same_cells
from tunesmith.run.comparison import comparison
from tunesmith.run.config import overlaid
from tunesmith.run.folder import read_json

TEXTS = [pair for n in range(40) for pair in ((f"my card {n} is lost", "card"), (f"hello number {n}", "greeting"))]
METHODS, SEEDS = ("full", "head_only"), (3, 4)


def table(backbone: Path, **method: object) -> dict[str, Any]:
    train = {"length": "3 epochs", "batch_size": 8, "precision": "fp32", "threads": 1, "learning_rate": 3e-3}
    data = {"train": "rows.jsonl", "dev": "rows.jsonl", "test": "test.jsonl"}
    task = {"kind": "text_classification"}
    return {"backbone": str(backbone), "data": data, "task": task, "train": train, **method}


def ended(todo: Sequence[Cell], folder: Path, wish: Callable[[], str | None] = lambda: None) -> list[tuple[str, str]]:
    events = list(ran(todo, folder=folder, origins={}, should_stop=wish))
    return [(event.cell.name, event.outcome) for event in events if isinstance(event, Ended)]


@pytest.fixture(scope="module")
def finished(tiny_bert_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with rows, and below `runs` two methods with two seeds each."""
    top = tmp_path_factory.mktemp("compared")
    rows = [{"id": str(number), "text": text, "label": label} for number, (text, label) in enumerate(TEXTS)]
    wrong = [{**row, "label": "card"} if int(row["id"]) % 7 == 0 else row for row in rows]
    for name, written in (("rows", rows), ("test", wrong)):
        (top / f"{name}.jsonl").write_text("\n".join(map(json.dumps, written)), encoding="utf-8")
    todo = cells(table(tiny_bert_folder), methods=METHODS, variants={}, seeds=SEEDS, folder=top / "runs")
    assert ended(todo, top) == [(cell.name, "finished") for cell in todo]
    return top


@pytest.fixture
def top(finished: Path, tmp_path: Path) -> Path:
    """A copy of it that may be changed."""
    return Path(shutil.copytree(finished, tmp_path / "top"))


def test_seeds_come_one_after_the_other_and_only_the_own_method_keeps_its_rate(tmp_path: Path) -> None:
    given = table(tmp_path, method={"kind": "lora", "rank": 2})
    wide = {"kind": "lora", "rank": 4, "learning_rate": 1e-3}
    variants = {"wide": wide, "plain": {"kind": "lora"}}
    made = cells(given, methods=("lora", "full"), variants=variants, seeds=(0, 1), folder=tmp_path)
    assert [(cell.method, cell.seed) for cell in made[:5]] == [
        *(("lora", 0), ("full", 0), ("wide", 0), ("plain", 0)),
        ("lora", 1),
    ]
    own, other, wide, plain = (cell.table for cell in made[:4])
    assert own["method"] == {"kind": "lora", "rank": 2} and own["train"]["learning_rate"] == 3e-3
    assert other["method"] == {"kind": "full"} and "learning_rate" not in other["train"]
    assert other["train"]["length"] == own["train"]["length"]
    assert wide["method"] == {"kind": "lora", "rank": 4} and wide["train"]["learning_rate"] == 1e-3
    assert plain["method"] == {"kind": "lora"} and "learning_rate" not in plain["train"]
    assert [cell.folder.name for cell in made[2:4]] == ["wide-seed0", "plain-seed0"]


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"train": {"length": "9 epochs"}}, "train.length"),
        ({"seed": 5}, "seed"),
        ({"method": {"kind": "bitfit"}}, "method.kind"),
    ],
)
def test_finished_runs_of_another_configuration_do_not_pass_for_this_one(
    finished: Path, tiny_bert_folder: Path, changes: dict[str, Any], key: str
) -> None:
    given = table(tiny_bert_folder)
    todo = cells(given, methods=METHODS, variants={}, seeds=SEEDS, folder=finished / "runs")
    require_same_cells(todo, base=finished)
    changed = [replace(cell, table=overlaid(cell.table, changes)) for cell in todo]
    with pytest.raises(ConfigError, match="was run with") as caught:
        require_same_cells(changed, base=finished)
    assert str(caught.value.place) == key and "--out" in caught.value.fix


def test_the_numbers_are_those_of_the_runs(finished: Path, tiny_bert_folder: Path) -> None:
    todo = cells(table(tiny_bert_folder), methods=METHODS, variants={}, seeds=SEEDS, folder=finished / "runs")
    found = comparison(todo, failures={})
    assert found is not None and found.metric == "accuracy" and not found.missing
    assert "tfidf_logistic" in found.baselines
    assert [row.score.value for row in found.rows] == sorted((row.score.value for row in found.rows), reverse=True)
    for row in found.rows:
        reports = [read_json(finished / "runs" / f"{row.kind}-seed{seed}" / "report.json") for seed in SEEDS]
        values = [report["splits"]["test"]["metrics"]["accuracy"]["value"] for report in reports]
        assert row.score.value == pytest.approx(statistics.mean(values), abs=1e-6)
        assert (row.lowest, row.highest) == (min(values), max(values))
        assert row.score.low < row.score.value < row.score.high
        assert row.trained == reports[0]["cost"]["trainable_parameters"]
        assert row.memory_mb == statistics.median(report["cost"]["peak_rss_mb"] for report in reports)
    assert [row.kind for row in found.rows if row.against_best is None] == [found.rows[0].kind]
    assert (
        dict(found.advice)["few trained parameters"]
        == min(
            (row for row in found.rows if not row.worse or found.rows[0].score.value - row.score.value <= 0.01),
            key=lambda row: row.trained,
        ).kind
    )
    json.dumps(found.as_record(), allow_nan=False)


def test_a_method_is_tested_on_the_rows_of_the_best(finished: Path, tiny_bert_folder: Path) -> None:
    """With one seed the difference is that of the two runs; several seeds are no further rows."""
    one = comparison(
        cells(table(tiny_bert_folder), methods=METHODS, variants={}, seeds=SEEDS[:1], folder=finished / "runs"),
        failures={},
    )
    assert one is not None
    best, other = one.rows
    files = [finished / "runs" / f"{row.kind}-seed{SEEDS[0]}" / "predictions.test.jsonl" for row in (other, best)]
    by_hand = paired_test(*map(read_predictions, files), kind="text_classification", metric="accuracy")
    test = other.against_best
    assert test is not None and test.test == "approximate randomisation"
    assert test.difference == pytest.approx(by_hand.difference) and test.difference < 0
    assert (test.low, test.high) == pytest.approx((by_hand.low, by_hand.high), abs=0.05)
    twice = [
        Cell(method=kind, seed=seed, table={}, folder=finished / "runs" / f"{kind}-seed3")
        for kind in METHODS
        for seed in (3, 9)
    ]
    doubled = comparison(twice, failures={})
    assert doubled is not None
    again = doubled.rows[1].against_best
    assert again is not None
    assert (again.difference, again.low, again.high) == pytest.approx((test.difference, test.low, test.high))
    assert again.p_value == pytest.approx(test.p_value)


def test_a_run_that_fails_takes_no_other_with_it(top: Path, tiny_bert_folder: Path) -> None:
    own = table(tiny_bert_folder, method={"kind": "lora", "rank": 17})
    todo = cells(own, methods=("lora", *METHODS), variants={}, seeds=SEEDS[:1], folder=top / "runs")
    events = [
        event for event in ran(todo, folder=top, origins={}, should_stop=lambda: None) if isinstance(event, Ended)
    ]
    assert [event.outcome for event in events] == ["failed", "finished", "finished"]
    assert "rank 17 is above the width 16" in events[0].detail and "TS-METHOD-002" in events[0].detail
    assert events[1].detail == "done before"
    found = comparison(todo, failures={events[0].cell.name: events[0].detail})
    assert found is not None and list(found.missing) == ["lora, seed 3"] and len(found.rows) == 2
    assert comparison(todo[:1], failures={}) is None


def test_a_run_that_is_stopped_goes_on(top: Path, tiny_bert_folder: Path) -> None:
    todo = cells(table(tiny_bert_folder), methods=("full",), variants={}, seeds=SEEDS[:1], folder=top / "again")
    seen: list[Doing] = []
    events = ran(todo, folder=top, origins={}, should_stop=lambda: "SIGINT" if seen else None)
    outcomes = []
    for event in events:
        if isinstance(event, Doing):
            seen += [event] if event.done else []
        else:
            outcomes.append(event.outcome)
    assert outcomes == ["stopped"]
    assert not (todo[0].folder / "bundle").exists()
    assert ended(todo, top) == [("full, seed 3", "finished")]
    straight = top / "runs" / "full-seed3" / "bundle" / "model.safetensors"
    assert (todo[0].folder / "bundle" / "model.safetensors").read_bytes() == straight.read_bytes()
