"""Few-shot runs: which rows they see, no dev but a drawn one, the same test rows for all, and what several say."""

import json
import statistics
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tunesmith.bundle.opening import load as open_predictor
from tunesmith.core.errors import ConfigError
from tunesmith.run.cells import Cell, require_same_cells
from tunesmith.run.config import RunConfig, parsed
from tunesmith.run.data import load
from tunesmith.run.draws import draw_cells, over_draws
from tunesmith.run.events import Finished, Noted
from tunesmith.run.folder import opened, read_json
from tunesmith.run.probe import probed
from tunesmith.run.stored_run import stored_run
from tunesmith.run.train import run

TEXTS = [pair for n in range(40) for pair in ((f"my card {n} is lost", "card_lost"), (f"hello number {n}", "hello"))]


def table(backbone: Path, **data: Any) -> dict[str, Any]:
    train = {"length": "2 epochs", "batch_size": 8, "precision": "fp32", "threads": 1, "learning_rate": 3e-3}
    task = {"kind": "label_matching"}
    return {"backbone": str(backbone), "data": {"train": "rows.jsonl", **data}, "task": task, "train": train}


@pytest.fixture
def config(tmp_path: Path, tiny_bert_folder: Path) -> Any:
    """`config(shots=2, ...)`: a configuration over rows that lie beside it."""
    rows = [json.dumps({"id": str(number), "text": text, "label": label}) for number, (text, label) in enumerate(TEXTS)]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows), encoding="utf-8")
    (tmp_path / "test.jsonl").write_text("\n".join(rows[::2] + rows[1:20:2]), encoding="utf-8")
    for number in range(2):
        (tmp_path / f"train{number}.jsonl").write_text("\n".join(rows[number * 6 : number * 6 + 6]), encoding="utf-8")
    return lambda **data: parsed(table(tiny_bert_folder, **data), folder=tmp_path)


def test_shots_are_balanced_and_test_rows_are_those_of_every_draw(config: Any) -> None:
    """Without a test file the test rows are split off first, by the seed alone."""
    first, second = (load(config(shots=3, draw=draw)) for draw in range(2))
    assert Counter(example.gold for example in first.train) == {"card_lost": 3, "hello": 3}
    assert first.train != second.train and first.test == second.test
    assert not {example.id for example in first.train} & {example.id for example in first.test}
    assert first.dev == () and any("no rows are left for dev" in note for note in first.notes)
    assert first.record["shots"] == {"of_each_label": 3, "draw": 0, "from": 80 - len(first.test)}


def test_a_dev_file_of_the_configuration_is_not_looked_at(config: Any) -> None:
    assert load(config(shots=3, dev="no such file.jsonl", test="test.jsonl")).dev == ()


def test_answers_in_words_are_no_labels_to_draw_by(config: Any) -> None:
    folder = config(shots=1).folder
    rows = [json.dumps({"prompt": f"how do I reset {n}", "answer": "Hold the button."}) for n in range(8)]
    (folder / "answers.jsonl").write_text("\n".join(rows), encoding="utf-8")
    made = table(Path("unused"), train="answers.jsonl", shots=2) | {"task": {"kind": "generation"}}
    with pytest.raises(ConfigError) as caught:
        load(parsed(made, folder=folder))
    assert (caught.value.code, str(caught.value.place)) == ("TS-DATA-085", "data.shots")


def test_given_draws_are_files_and_may_have_dev_rows(config: Any) -> None:
    draws = [{"train": "train0.jsonl"}, {"train": "train1.jsonl", "dev": "train0.jsonl"}]
    made = table(Path("unused"), draws=draws, test="test.jsonl")
    del made["data"]["train"]
    folder = config(shots=1).folder
    one, two = (load(parsed({**made, "data": made["data"] | {"draw": draw}}, folder=folder)) for draw in range(2))
    assert (len(one.train), len(one.dev)) == (6, 0) and (len(two.train), len(two.dev)) == (6, 6)
    assert one.train != two.train and two.dev == one.train


@pytest.mark.parametrize(
    "data",
    [
        {"shots": 2, "draws": [{"train": "train0.jsonl"}]},
        {"draws": [{"train": "train0.jsonl"}], "draw": 1},
        {"draws": [{"train": "train0.jsonl"}]},  # beside data.train
        {"train": None, "shots": 2, "test": "test.jsonl"},
        {"train": None, "shots": 0},
        {"draws": []},
    ],
)
def test_contradictions_are_refused(config: Any, data: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        config(**data)


def test_only_label_matching_answers_without_rows(config: Any) -> None:
    made = config(shots=0, test="test.jsonl").as_table() | {"task": {"kind": "text_classification"}}
    made["data"] = {key: made["data"][key] for key in ("train", "test", "shots")}
    with pytest.raises(ConfigError) as caught:
        list(finished(parsed(made, folder=config(shots=0, test="test.jsonl").folder), "refused"))
    assert caught.value.code == "TS-RUN-030"


def test_there_is_nothing_to_plan_without_rows(config: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        probed(config(shots=0, test="test.jsonl"), opened(tmp_path / "plan", resume=False))
    assert caught.value.code == "TS-RUN-031"


def finished(config: RunConfig, name: str) -> dict[str, Any]:
    """The report of a run."""
    folder = opened(config.folder / name, resume=False)
    *_, last = run(config, folder, origins={})
    assert isinstance(last, Finished)
    return last.record


def test_a_run_without_any_row_is_a_run_like_any_other(config: Any, tmp_path: Path) -> None:
    """Labels from the names in a file, or where nobody labelled a row from the descriptions."""
    by_names = finished(config(shots=0, test="test.jsonl"), "names")
    told = config(shots=0, train=None, test="test.jsonl").as_table()
    descriptions = {"card_lost": "card lost", "hello": "hello"}
    again = {key: told[key] for key in ("backbone", "train")}
    again |= {"data": {"shots": 0, "test": "test.jsonl"}}
    again |= {"task": {"kind": "label_matching", "descriptions": descriptions}}
    by_descriptions = finished(parsed(again, folder=tmp_path), "described")
    assert by_names["splits"] == by_descriptions["splits"] and list(by_names["splits"]) == ["test"]
    assert by_names["verdict"] == "alone" and by_names["cost"]["trainable_parameters"] == 0
    found = stored_run(tmp_path / "names")
    assert found.standing.state == "finished" and found.newest is not None and found.newest.trained
    answer = open_predictor(tmp_path / "names" / "bundle").predict("hello number 3")
    assert set(answer.scores) == {"card_lost", "hello"}
    *notes, last = run(
        config(shots=0, test="test.jsonl"), opened(tmp_path / "names", resume=True), origins={}, resume=True
    )
    assert isinstance(last, Finished) and isinstance(notes[0], Noted)


@pytest.fixture
def cells(config: Any, tiny_bert_folder: Path, tmp_path: Path) -> list[Cell]:
    """Three draws, of which all but the second are finished."""
    made = table(tiny_bert_folder, shots=2, test="test.jsonl")
    config(shots=2)  # writes the rows
    cells = draw_cells(parsed(made, folder=tmp_path), made, draws=3, folder=tmp_path / "runs")
    for cell in (cells[0], cells[2]):
        list(run(parsed(cell.table, folder=tmp_path), opened(cell.folder, resume=False), origins={}))
    return cells


def test_what_is_finished_is_summed_up_and_what_is_not_is_named(cells: list[Cell], tmp_path: Path) -> None:
    assert [cell.name for cell in cells] == ["draw 0", "draw 1", "draw 2"]
    found = over_draws(cells, failures={"draw 1": "failed: too few rows"})
    assert found is not None and found.missing == {"draw 1": "failed: too few rows"}
    reports = [read_json(tmp_path / "runs" / f"draw{draw}" / "report.json") for draw in (0, 2)]
    values = [report["splits"]["test"]["metrics"]["accuracy"]["value"] for report in reports]
    assert [row.draw for row in found.rows] == [0, 2] and [row.score.value for row in found.rows] == values
    record = found.as_record()
    assert record["score"]["mean"] == pytest.approx(statistics.mean(values), abs=1e-6)
    assert record["score"]["deviation"] == pytest.approx(statistics.stdev(values), abs=1e-6)
    assert record["score"]["lowest"] == min(values) and record["score"]["highest"] == max(values)
    rivals = [
        report["splits"]["test"]["baselines"]["tfidf_logistic"]["metrics"]["accuracy"]["value"] for report in reports
    ]
    assert record["baseline"]["name"] == "tfidf_logistic"
    assert record["baseline"]["mean"] == pytest.approx(statistics.mean(rivals), abs=1e-6)
    assert all(row.rows == 4 for row in found.rows)
    require_same_cells([cells[0], cells[2]], base=tmp_path)
    other = {**cells[0].table, "data": {**cells[0].table["data"], "shots": 3}}
    changed = Cell(method="full", seed=0, draw=0, table=other, folder=cells[0].folder)
    with pytest.raises(ConfigError, match="was run with 2, now it says 3") as caught:
        require_same_cells([changed], base=tmp_path)
    assert caught.value.code == "TS-RUN-032" and str(caught.value.place) == "data.shots"
    faster = {**cells[0].table, "train": {**cells[0].table["train"], "threads": 2}}
    require_same_cells([Cell(method="full", seed=0, draw=0, table=faster, folder=cells[0].folder)], base=tmp_path)
