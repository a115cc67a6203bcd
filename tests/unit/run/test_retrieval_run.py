"""From rows of question and document to a bundle that answers: trained, mined, judged, evaluated again."""

import json
from pathlib import Path
from typing import Any

import pytest

from tunesmith.bundle.predictor import Predictor
from tunesmith.core.errors import ConfigError, DataError
from tunesmith.judge.stored import read_predictions
from tunesmith.run.config import RunConfig, parsed
from tunesmith.run.evaluate import evaluated
from tunesmith.run.events import Finished
from tunesmith.run.folder import RunFolder, opened
from tunesmith.run.lessons import training_data
from tunesmith.run.mining import with_mined
from tunesmith.run.prepared import prepared
from tunesmith.run.train import run

TOPICS = ("card", "transfer", "money", "help", "bank", "Rome")
ROWS = [{"text": f"{n} my {topic} please {n}", "pair": f"about the {topic}"} for n in range(8) for topic in TOPICS]


def config(folder: Path, backbone: Path, rows: list[dict[str, Any]], **changes: Any) -> RunConfig:
    (folder / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    table: dict[str, Any] = {
        "backbone": str(backbone),
        "data": {"train": "rows.jsonl"},
        "task": {"kind": "retrieval", "mined": 2, "temperature": 0.1, "top": 4},
        "train": {"length": "6 epochs", "learning_rate": 3e-3, "precision": "fp32", "threads": 1, "batch_size": 12},
    }
    return parsed(table | changes, folder=folder)


def finished(made: RunConfig, folder: Path) -> dict[str, Any]:
    *_, last = run(made, opened(folder, resume=False), origins={})
    assert isinstance(last, Finished)
    return dict(last.record)


def test_a_run_finds_documents_and_its_bundle_finds_the_same(tiny_bert_folder: Path, tmp_path: Path) -> None:
    record = finished(config(tmp_path, tiny_bert_folder, ROWS), tmp_path / "run")
    test = record["splits"]["test"]
    assert (test["form"], test["main_metric"]) == ("ranking", "ndcg_at_10")
    assert set(test["baselines"]) == {"random", "popular", "bm25", "untuned"}
    assert test["metrics"]["ndcg_at_10"]["value"] > test["baselines"]["random"]["metrics"]["ndcg_at_10"]["value"]
    assert "6 documents are searched: those of all rows of train, dev and test" in record["data"]["notes"]
    folder = RunFolder(tmp_path / "run")
    assert "Ten questions as they come" in folder.page.read_text(encoding="utf-8")
    stored = list(read_predictions(folder.predictions("test")))
    assert all(len(one.predicted) == 6 for one in stored), "all, and 10 where there are so many"  # type: ignore[arg-type]
    again = Predictor.load(folder.bundle).predict([one.text for one in stored])
    answers = [[item.id for item in one.predicted] for one in again]  # type: ignore[union-attr]
    assert answers == [[item.id for item in one.predicted[:4]] for one in stored]  # type: ignore[index, union-attr]
    found = evaluated(folder.bundle, tmp_path / "rows.jsonl").scores
    assert found.rows == len(ROWS) and found.headline.value > 0.5
    assert "nearest of 6 documents" in (folder.bundle / "README.md").read_text()


def test_equal_questions_share_a_split(tiny_bert_folder: Path, tmp_path: Path) -> None:
    doubled = [*ROWS, *({**row, "pair": f"{row['pair']} again"} for row in ROWS)]
    ready = prepared(config(tmp_path, tiny_bert_folder, doubled))
    texts = [{row.text for row in rows} for rows in ready.data.splits().values()]
    assert sum(map(len, texts)) == len(set().union(*texts)) == len(ROWS)
    assert all(len(row.gold) == 2 for row in ready.asked("test") if isinstance(row.gold, tuple))
    leaks = next(section for section in ready.audit.sections if section.title == "Leaks between splits")
    assert leaks.status == "ok"


def test_mined_documents_are_near_and_wrong_and_stand_beside_their_question(
    tiny_bert_folder: Path, tmp_path: Path
) -> None:
    ready = prepared(config(tmp_path, tiny_bert_folder, ROWS))
    mined = with_mined(ready, ready.data.train)
    assert all(len(row.negatives) == 2 and row.pair not in row.negatives for row in mined)
    assert with_mined(ready, ready.data.train) == mined
    data = training_data(ready)
    assert data.parts == len(ready.data.train) and len(data.encodings) == 4 * data.parts


def test_a_file_of_documents_is_searched(tiny_bert_folder: Path, tmp_path: Path) -> None:
    lines = [{"id": f"help-{topic}", "text": f"about the {topic}"} for topic in (*TOPICS, "rest")]
    listed = tmp_path / "documents.jsonl"
    listed.write_text("\n".join(json.dumps(line) for line in lines))
    data = {"train": "rows.jsonl", "documents": "documents.jsonl"}
    ready = prepared(config(tmp_path, tiny_bert_folder, ROWS, data=data))
    assert [document.id for document in ready.documents] == [line["id"] for line in lines]
    listed.write_text("\n".join(json.dumps(line) for line in lines[-1:]))
    with pytest.raises(DataError, match=r"not among data\.documents"):
        prepared(config(tmp_path, tiny_bert_folder, ROWS, data=data))
    listed.write_text('{"id": "a", "text": "b"}\n{"id": "a", "text": "c"}')
    with pytest.raises(DataError, match="two documents are named 'a'"):
        prepared(config(tmp_path, tiny_bert_folder, ROWS, data=data))
    listed.write_text("\n")
    with pytest.raises(DataError, match="no documents in it"):
        prepared(config(tmp_path, tiny_bert_folder, ROWS, data=data))
    scored = [{**row, "score": n % 5 + 0.5} for n, row in enumerate(ROWS)]
    cosine = {"kind": "retrieval", "objective": "cosine"}
    with pytest.raises(ConfigError, match="searches no documents"):
        prepared(config(tmp_path, tiny_bert_folder, scored, data=data, task=cosine))


def test_scored_pairs_are_judged_by_their_scores(tiny_bert_folder: Path, tmp_path: Path) -> None:
    rows = [
        {"text": f"{n} my {one}", "pair": f"the {other} {n}", "score": 4.5 if one == other else 0.5}
        for n in range(4)
        for one in TOPICS[:4]
        for other in TOPICS[:4]
    ]
    train = {"length": "1 epochs", "precision": "fp32", "threads": 1, "batch_size": 12}
    made = config(tmp_path, tiny_bert_folder, rows, task={"kind": "retrieval", "objective": "cosine"}, train=train)
    test = finished(made, tmp_path / "run")["splits"]["test"]
    assert (test["form"], test["main_metric"]) == ("scores", "spearman")
    assert set(test["baselines"]) == {"mean", "tfidf_cosine", "untuned"}
    score = Predictor.load(tmp_path / "run" / "bundle").predict(("my card", "the card")).predicted
    assert isinstance(score, float) and -4.5 < score < 5.5


def test_nothing_learns_where_only_a_head_would(tiny_bert_folder: Path, tmp_path: Path) -> None:
    made = config(tmp_path, tiny_bert_folder, ROWS, method={"kind": "head_only"})
    with pytest.raises(ConfigError, match="nothing learns"):
        list(run(made, opened(tmp_path / "run", resume=False), origins={}))
