"""From the rows of a search to a re-ranker: its pairs, a run on them, and what it brings."""

import json
from pathlib import Path

import pytest

from tunesmith.bundle.opening import load
from tunesmith.bundle.reranking import Stages, documents_in
from tunesmith.core.errors import ConfigError, DataError, MissingInputError
from tunesmith.prepare.duplicates import normalized
from tunesmith.run.config import parsed
from tunesmith.run.evaluate import evaluated
from tunesmith.run.events import Finished
from tunesmith.run.folder import RunFolder, opened
from tunesmith.run.prepared import prepared
from tunesmith.run.train import run

RIGHT = {  # a document of the tiny search for each question
    "where is my card": "My card was stolen in Beijing",
    "help with a card": "please help, the card is lost",
    "who is Anna": "Anna works at Acme and visited Rome",
    "is it fine": "good",
    "was it bad": "not good",
}


def config(folder, backbone, search, *, rows=None, dev=None, **changes):
    rows = rows or [{"text": f"{text} {n}", "pair": pair} for n in range(6) for text, pair in RIGHT.items()]
    files = {"train": rows, **({"dev": dev} if dev else {})}
    for name, lines in files.items():
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    mined = {"by": str(search), "negatives": 2}
    table = {
        "backbone": str(backbone),
        "data": {name: f"{name}.jsonl" for name in files} | {"mined": mined},
        "task": {"kind": "pair_matching"},
        "train": {"length": "2 epochs", "learning_rate": 3e-3, "precision": "fp32", "threads": 1},
    }
    return parsed(table | changes, folder=folder)


def test_rows_become_pairs_with_the_nearest_wrong_documents(tiny_bert_folder, tiny_bundles, tmp_path):
    search = tiny_bundles("documents")
    ready = prepared(config(tmp_path, tiny_bert_folder, search))
    assert ready.task.label_names == ("irrelevant", "relevant")
    splits = ready.data.splits()
    assert ready.data.record["counts"] == {name: len(rows) for name, rows in splits.items()}
    texts = [{row.text for row in rows} for rows in splits.values()]
    assert sum(map(len, texts)) == len(set().union(*texts)) == 30, "the pairs of a question share a split"
    predictor = load(search)
    for row in splits["test"]:
        pairs = [other for other in splits["test"] if other.text == row.text]
        near = [item.text for item in documents_in(predictor.predict(row.text))]
        right = RIGHT[row.text.rpartition(" ")[0]]
        assert [other.gold for other in pairs] == ["relevant", "irrelevant", "irrelevant"]
        assert [other.pair for other in pairs] == [right, *[text for text in near if text != right][:2]]
    assert len({row.id for rows in splits.values() for row in rows}) == 90
    assert prepared(ready.config).data.record["fingerprint"] == ready.data.record["fingerprint"]


def test_what_any_row_calls_an_answer_is_never_a_wrong_document(tiny_bert_folder, tiny_bundles, tmp_path):
    documents = [item.text for item in documents_in(load(tiny_bundles("documents")).predict("not good"))]
    rows = [
        {"text": "Not  good", "pair": documents[0].upper(), "label": "yes"},
        {"text": "not good", "pair": documents[1], "label": "yes"},
        {"text": "not good", "pair": "a wrong one that somebody marked", "label": "no"},
        {"text": "nobody knows", "pair": "marked too", "label": "no"},
        *({"text": f"{text} {n}", "pair": pair, "label": "yes"} for n in range(9) for text, pair in RIGHT.items()),
    ]
    dev = [{"text": "NOT GOOD", "pair": documents[2], "label": "yes"}, {"text": "x", "pair": "good", "label": "yes"}]
    ready = prepared(config(tmp_path, tiny_bert_folder, tiny_bundles("documents"), rows=rows, dev=dev))
    everything = [row for split in ready.data.splits().values() for row in split]
    pairs = [row for row in everything if normalized(row.text) == "not good"]
    wrong = [row.pair for row in pairs if row.gold == "irrelevant"]
    assert "a wrong one that somebody marked" in wrong and len(wrong) == 3 * 2 + 1
    assert not {normalized(text) for text in wrong} & {normalized(text) for text in documents}
    unknown = [(row.pair, row.gold) for row in everything if row.text == "nobody knows"]
    assert unknown == [("marked too", "irrelevant")], "without a known answer what is near may be one"


def test_a_trained_re_ranker_is_held_against_the_search_alone(tiny_bert_folder, tiny_bundles, tmp_path):
    search = tiny_bundles("documents")
    made = config(tmp_path, tiny_bert_folder, search)
    folder = RunFolder(tmp_path / "run")
    *_, last = run(made, opened(folder.path, resume=False), origins={})
    assert isinstance(last, Finished) and last.record["splits"]["test"]["form"] == "labels"
    kept = [json.loads(line) for line in folder.mined("train").read_text(encoding="utf-8").splitlines()]
    assert {row["label"] for row in kept} == {"relevant", "irrelevant"}
    assert len(kept) == last.record["data"]["counts"]["train"]
    asked, out = tmp_path / "train.jsonl", tmp_path / "answers.jsonl"
    found = evaluated(search, asked, stages=Stages(reranker=folder.path, candidates=10), out=out)
    alone = evaluated(search, asked).scores
    assert found.reranked is not None and found.reranked.within == 1.0, "all six documents are candidates"
    assert found.reranked.before.metrics == alone.metrics and found.scores.rows == alone.rows == 30
    test = found.reranked.tests[0]
    assert (test.metric, test.first, test.second) == (
        "ndcg_at_10",
        pytest.approx(found.scores.headline.value),
        pytest.approx(alone.headline.value),
    )
    assert f"{test.second:.3f} by the search alone, {test.first:.3f} re-ranked" in found.reranked.sentence
    assert "first_score" in json.loads(out.read_text(encoding="utf-8").splitlines()[0])["predicted"][0]


def test_what_cannot_be_mined_is_refused(tiny_bert_folder: Path, tiny_bundles, tmp_path: Path) -> None:
    scored = {"kind": "pair_matching", "score_range": [0.0, 1.0]}
    for task, code in (({"kind": "retrieval"}, "TS-RUN-050"), (scored, "TS-RUN-050"), (None, "TS-RUN-050")):
        with pytest.raises(ConfigError) as refused:
            prepared(config(tmp_path, tiny_bert_folder, tiny_bundles("documents"), task=task))
        assert refused.value.code == code
    with pytest.raises(ConfigError, match="finds no wrong ones"):
        prepared(config(tmp_path, tiny_bert_folder, tiny_bundles("label")))
    with pytest.raises(MissingInputError, match="there is no bundle here"):
        prepared(config(tmp_path, tiny_bert_folder, tmp_path / "nowhere"))
    rows = [{"text": f"{n}", "pair": "good", "label": "perhaps"} for n in range(20)]
    with pytest.raises(DataError, match="does not say whether the document answers"):
        prepared(config(tmp_path, tiny_bert_folder, tiny_bundles("documents"), rows=rows))
