"""`report.json` says first whether the model beats its best baseline, and a finished run can be judged again."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from tunesmith.core.errors import DataError, MissingInputError
from tunesmith.core.prediction import Prediction
from tunesmith.judge.rebuild import rebuilt
from tunesmith.judge.report import RunFacts, build_report, judge_split
from tunesmith.judge.stored import write_predictions
from tunesmith.judge.truth import LEADS

FACTS = RunFacts(task="text_classification", name="demo", cost={"seconds": 1.0}, config={"seed": 0})


def rows(right: int, count: int = 200) -> list[Prediction]:
    """The first `right` rows are answered rightly."""
    return [
        Prediction(id=str(i), text=f"t{i}", gold="ab"[i % 2], predicted="ab"[(i + (i >= right)) % 2])
        for i in range(count)
    ]


@pytest.mark.parametrize(
    "mine, theirs, standing", [(180, 120, "better"), (182, 178, "unproven"), (120, 180, "worse"), (150, 150, "worse")]
)
def test_the_first_words_are_the_truth(mine: int, theirs: int, standing: str) -> None:
    # The rival is wrong on other rows than the model, so that a small lead can be luck.
    rival = [replace(row, id=str(i)) for i, row in enumerate(rows(200))]
    wrong = set(range(0, 200 - theirs))
    rival = [replace(r, predicted="ab"[("ab".index(str(r.gold)) + (i in wrong)) % 2]) for i, r in enumerate(rival)]
    split = judge_split(rows(mine), {"tfidf_logistic": rival}, kind="text_classification", replicates=300)
    report = build_report({"test": split}, FACTS)
    assert report["verdict"] == standing
    assert report["headline"].startswith(LEADS[standing][0])  # type: ignore[index]
    assert report["headline_zh"].startswith(LEADS[standing][1])  # type: ignore[index]
    assert ("NOT" in report["headline"]) == (standing != "better")
    assert report["best_baseline"] == "tfidf_logistic"


def test_the_best_baseline_is_the_one_that_counts() -> None:
    rivals = {"majority": rows(100), "tfidf_logistic": rows(195)}
    split = judge_split(rows(180), rivals, kind="text_classification", replicates=100)
    assert build_report({"test": split}, FACTS)["best_baseline"] == "tfidf_logistic"


def test_chrf_is_written_so_at_the_start_of_a_sentence() -> None:
    written = [Prediction(id=str(i), text="t", gold="yes please", predicted="yes") for i in range(9)]
    for main, name in (("chrf", "chrF"), ("exact_match", "Exact match"), ("bleu", "BLEU")):
        split = judge_split(written, {}, kind="generation", main=main, replicates=20)
        assert f"baseline. {name} 0." in build_report({"test": split}, RunFacts(task="generation"))["headline"]


def test_without_baselines_that_is_said() -> None:
    split = judge_split(rows(180), {}, kind="text_classification", replicates=100)
    report = build_report({"dev": split}, FACTS)
    assert (report["verdict"], report["headline_split"]) == ("alone", "dev")
    assert report["headline"].startswith("Not compared with any baseline.")


def test_the_schema_is_as_designed_and_plain_json() -> None:
    split = judge_split(rows(180), {"majority": rows(100)}, kind="text_classification", replicates=100)
    report = json.loads(json.dumps(build_report({"dev": split, "test": split}, FACTS), allow_nan=False))
    assert report["schema"] == 1
    test = report["splits"]["test"]
    assert test["n"] == 200
    assert set(test["metrics"]["accuracy"]) == {"value", "low", "high"}
    assert set(test["baselines"]["majority"]["test"]) >= {"difference", "low", "high", "p_value"}
    assert {row["label"] for row in test["labels"]} == {"a", "b"}
    with pytest.raises(ValueError, match="at least one split"):
        build_report({}, FACTS)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_predictions(tmp_path / "predictions.test.jsonl", rows(180))
    split = judge_split(rows(180), {"majority": rows(100)}, kind="text_classification")
    report = build_report({"test": split}, FACTS)
    (tmp_path / "report.json").write_text(json.dumps(report), encoding="utf-8")
    return tmp_path


def test_a_run_judged_again_says_the_same(run: Path) -> None:
    before = json.loads((run / "report.json").read_text(encoding="utf-8"))
    assert rebuilt(run) == before == json.loads((run / "report.json").read_text(encoding="utf-8"))
    assert (run / "report.html").is_file()


def test_baselines_of_other_predictions_are_dropped(run: Path) -> None:
    write_predictions(run / "predictions.test.jsonl", rows(150))
    report = rebuilt(run)
    assert report["verdict"] == "alone"
    assert report["splits"]["test"]["metrics"]["accuracy"]["value"] == 0.75


def test_judging_again_that_is_broken_off_leaves_no_draft(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (run / "report.json").read_bytes()
    names = {path.name for path in run.iterdir()}

    def ctrl_c(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        rebuilt(run)
    assert {path.name for path in run.iterdir()} == names
    assert (run / "report.json").read_bytes() == before


def test_what_is_not_a_run_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="TS-JUDGE-030"):
        rebuilt(tmp_path / "nowhere")
    for damage in ("{", "[]", '{"schema": 99}', "[" * 100_000):
        (run / "report.json").write_text(damage, encoding="utf-8")
        with pytest.raises(DataError, match="TS-JUDGE-031"):
            rebuilt(run)
