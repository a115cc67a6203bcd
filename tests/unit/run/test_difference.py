"""Two runs are compared on the rows that both answered, and the sentence says no more than that shows."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tunesmith.core.errors import DataError, MissingInputError
from tunesmith.core.prediction import Prediction
from tunesmith.judge.paired import paired_test
from tunesmith.judge.stored import read_predictions, write_predictions
from tunesmith.run.account import account
from tunesmith.run.difference import Difference, difference
from tunesmith.run.score_difference import score_difference
from tunesmith.run.stored_run import named_run, stored_run

DEEP = "deep/läufe [bold]"


def compared(runs: Path, a: str = "full", b: str = DEEP) -> Difference:
    return difference(stored_run(runs / a), stored_run(runs / b))


def answers(run: Path, change: Callable[[int, Prediction], Prediction], *, times: int = 1) -> None:
    """Store other answers; `times` copies of each row make a small test set a large one."""
    rows = [
        replace(row, id=f"{row.id}.{n}")
        for row in read_predictions(run / "predictions.test.jsonl")
        for n in range(times)
    ]
    write_predictions(run / "predictions.test.jsonl", [change(n, row) for n, row in enumerate(rows)])


def right(row: Prediction) -> Prediction:
    return replace(row, predicted=row.gold)


def wrong(row: Prediction) -> Prediction:
    return replace(row, predicted="card" if row.gold == "greeting" else "greeting")


def test_only_what_differs_is_told(runs: Path) -> None:
    found = compared(runs)
    assert found.config is not None
    assert {one.key: (one.a, one.b) for one in found.config} == {
        "method.kind": ("full", "head_only"),
        "train.learning_rate": (3e-3, 1e-4),
    }
    assert [(one.split, one.same) for one in found.data] == [("train", True), ("dev", True), ("test", True)]
    assert found.same_backbone is True
    assert found.environment == ()
    learns = {one.key: one for one in found.cost}["trainable_parameters"]
    assert learns.a > learns.b
    json.dumps(found.as_record(), allow_nan=False)


def test_the_better_one_is_named_with_the_test_behind_it(runs: Path) -> None:
    answers(runs / "full", lambda n, row: right(row) if n % 4 else wrong(row), times=10)
    answers(runs / DEEP, lambda n, row: right(row) if n % 10 else wrong(row), times=10)
    scores = compared(runs).scores
    assert scores.winner == "b"
    assert scores.sentence.startswith("B is better than A: accuracy 0.7") and "unlikely to be chance" in scores.sentence
    back = compared(runs, DEEP, "full").scores
    assert (back.winner, back.sentence.split(":")[0]) == ("a", "A is better than B")
    rows = [list(read_predictions(runs / name / "predictions.test.jsonl")) for name in (DEEP, "full")]
    assert scores.tests[0] == paired_test(*rows, kind="text_classification", metric="accuracy")
    assert scores.right is not None and sum(scores.right.values()) == len(rows[0])
    assert {one.label for one in scores.labels} == {"card", "greeting"}


def test_a_difference_that_may_be_chance_has_no_winner(runs: Path) -> None:
    answers(runs / "full", lambda n, row: right(row) if n % 4 else wrong(row))
    answers(runs / DEEP, lambda n, row: right(row) if (n + 1) % 4 else wrong(row))
    scores = compared(runs).scores
    assert scores.winner is None
    assert scores.sentence.startswith("Neither is shown to be better") and scores.sentence.endswith("It may be chance.")


def test_written_answers_are_compared_by_all_their_metrics(runs: Path) -> None:
    for name, words in (("full", "send it back"), (DEEP, "send it")):
        config = json.loads((runs / name / "config.json").read_text(encoding="utf-8"))
        config["config"]["task"] = {"kind": "generation"}
        (runs / name / "config.json").write_text(json.dumps(config), encoding="utf-8")
        answers(runs / name, lambda n, row, words=words: replace(row, gold=("Send it back.", "no"), predicted=words))
    scores = compared(runs).scores
    assert scores.tests[0].metric == "rouge_l" and {"bleu", "chrf"} < {test.metric for test in scores.tests}
    assert scores.winner == "a" and scores.labels == ()
    assert scores.right is not None and scores.right["only_a"] == sum(scores.right.values())
    json.dumps(scores.as_record(), allow_nan=False)


def test_equal_answers_are_called_that(runs: Path) -> None:
    shutil.copytree(runs / "full", runs / "twin")
    scores = compared(runs, "full", "twin").scores
    assert scores.winner is None
    assert scores.sentence.startswith("A and B give the same answers on the same ")


def test_other_test_rows_are_left_out_with_their_reason(runs: Path) -> None:
    answers(runs / "full", lambda n, row: right(row), times=2)
    answers(runs / DEEP, lambda n, row: replace(right(row), text="other") if n < 3 else wrong(row), times=2)
    scores = compared(runs).scores
    assert scores.rows is not None
    assert len(scores.rows.first) == scores.rows.first_rows - 3
    assert f"the {len(scores.rows.first)} test rows that both answered" in scores.sentence
    assert scores.rows.left_out() == "3 with the same id have another text"


def test_nothing_in_common_is_no_test(runs: Path) -> None:
    answers(runs / "full", lambda n, row: replace(row, id=f"x{n}"))
    scores = compared(runs).scores
    assert scores.tests == () and scores.winner is None
    assert scores.sentence.startswith("Not compared: they have no test row in common (")


def test_unfinished_and_other_tasks_are_not_tested(runs: Path, cut_short: Callable[..., None]) -> None:
    shutil.copytree(runs / "full", runs / "half")
    cut_short(runs / "half", lines=9)
    found = compared(runs, "full", "half")
    assert found.scores.sentence == "Not compared: B has no stored answers on test; it is interrupted."
    assert found.config == () and found.environment is None
    config = json.loads((runs / DEEP / "config.json").read_text(encoding="utf-8"))
    config["config"]["task"] = {"kind": "token_classification"}
    (runs / DEEP / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert "of different tasks, text_classification and token_classification" in compared(runs).scores.sentence
    (runs / DEEP / "config.json").write_text("{", encoding="utf-8")
    broken = compared(runs)
    assert "the task of B is not known (config.json is damaged" in broken.scores.sentence
    assert broken.config is None


def test_damaged_answers_are_refused_by_line(runs: Path) -> None:
    with (runs / "full" / "predictions.test.jsonl").open("a", encoding="utf-8") as out:
        out.write('{"id": "x"')
    with pytest.raises(DataError, match="not a stored prediction"):
        compared(runs)


def test_dev_can_be_compared_too(runs: Path) -> None:
    scores = score_difference(stored_run(runs / "full"), stored_run(runs / DEEP), split="dev")
    assert "dev rows" in scores.sentence


def test_a_run_is_found_by_its_name(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(runs.parent)
    assert named_run(Path("full")).folder.path == Path("runs/full")
    with pytest.raises(MissingInputError, match="there is no run here"):
        named_run(Path("nowhere"))


def test_an_account_tells_what_somebody_chose_and_what_to_do_next(runs: Path, cut_short: Callable[..., None]) -> None:
    told = account(stored_run(runs / "full"))
    chosen = {key: origin for key, _, origin in told.chosen}
    assert chosen["train.learning_rate"] == "flag" and "seed" not in chosen
    assert told.splits[0][:3] == ("train", 96, "rows.jsonl") and told.splits[2][2] is None
    assert {"report", "page", "bundle"} == set(told.files)
    json.dumps(told.as_record(), allow_nan=False)
    cut_short(runs / "full", lines=9)
    assert "--resume" in account(stored_run(runs / "full")).commands[0][0]
    cut_short_more = (runs / "full" / "journal.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)[:2]
    (runs / "full" / "journal.jsonl").write_text("".join(cut_short_more), encoding="utf-8")
    assert "--resume" not in account(stored_run(runs / "full")).commands[0][0]
