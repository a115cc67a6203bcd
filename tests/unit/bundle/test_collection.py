"""Exact search against sorting everything, and a bundle that holds what it searches."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from tunesmith.bundle.answers import answer_of
from tunesmith.bundle.collection import Collection, highest, read_collection
from tunesmith.bundle.predictor import Predictor
from tunesmith.bundle.verify import verify
from tunesmith.core.errors import DataError, ModelFileError
from tunesmith.core.example import Document
from tunesmith.core.prediction import Ranked

DRAW = np.random.default_rng(0)


@pytest.mark.parametrize("count", [1, 3, 10, 50, 60])
def test_the_nearest_are_those_of_a_full_sort_and_ties_keep_their_order(count: int) -> None:
    for _ in range(20):
        scores = DRAW.integers(0, 8, 50).astype(np.float32)  # many ties
        expected = sorted(range(50), key=lambda index: (-scores[index], index))[:count]
        assert highest(scores, count).tolist() == expected


def test_every_question_of_many_blocks_finds_its_own_document() -> None:
    vectors = DRAW.normal(size=(600, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    documents = tuple(Document(f"d{n}", f"text {n}") for n in range(600))
    found = Collection(documents, vectors).nearest(vectors, count=2)
    assert [near[0].id for near in found] == [document.id for document in documents]
    assert all(near[0].score == pytest.approx(1.0, abs=1e-5) and len(near) == 2 for near in found)


def test_a_bundle_answers_with_its_documents(tiny_bundles, tmp_path):  # type: ignore[no-untyped-def]
    predictor = Predictor.load(tiny_bundles("documents"))
    said = predictor.predict("not good").predicted
    assert len(said) == 3 and isinstance(said[0], Ranked)
    assert (said[0].text, said[0].id) == ("not good", "d5") and said[0].score == pytest.approx(1.0, abs=1e-5)
    answer = answer_of(predictor.predict("not good"))
    assert [set(item) for item in answer["documents"]] == [{"id", "text", "score"}] * 3
    many = predictor.predict(["good", "not good"])
    assert many[1].predicted[0].id == "d5"
    assert "<ol>" in many[1]._repr_html_()
    shutil.copytree(tiny_bundles("documents"), tmp_path / "moved")
    assert verify(tmp_path / "moved").files == 10
    with pytest.raises(DataError, match="a second text was given"):
        predictor.predict(("a", "b"))


def test_transformers_opens_the_encoder(tiny_bundles, unlabelled):  # type: ignore[no-untyped-def]
    from transformers import AutoModel

    folder = tiny_bundles("documents")
    assert json.loads((folder / "config.json").read_text())["architectures"] == ["BertModel"]
    model, report = AutoModel.from_pretrained(folder, output_loading_info=True, add_pooling_layer=False)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    answered = Predictor.load(folder).answer(unlabelled("my card was stolen"))
    ids = torch.from_numpy(answered.windows[0].input_ids.astype("int64"))[None]
    with torch.no_grad():
        mean = model.eval()(ids).last_hidden_state[0].mean(0)
    torch.testing.assert_close(answered.logits[0][0], mean / mean.norm(), atol=1e-5, rtol=1e-5)


def test_a_bundle_that_scores_pairs_has_nothing_to_search(tiny_bundles):  # type: ignore[no-untyped-def]
    predictor = Predictor.load(tiny_bundles("cosine"))
    assert predictor.predict(("good", "good")).predicted == pytest.approx(5.0, abs=1e-4)
    with pytest.raises(DataError, match="no documents to search"):
        predictor.predict("good")


def test_a_changed_document_or_vector_is_refused(tiny_bundles, tmp_path):  # type: ignore[no-untyped-def]
    for name in ("documents.jsonl", "index.safetensors"):
        folder = shutil.copytree(tiny_bundles("documents"), tmp_path / name)
        data = bytearray((folder / name).read_bytes())
        data[-3] ^= 1
        (folder / name).write_bytes(bytes(data))
        with pytest.raises(ModelFileError, match=f"{name} was changed"):
            Predictor.load(folder)


def test_files_that_do_not_fit_one_another_are_refused(tiny_bundles: object, tmp_path: Path) -> None:
    folder = tiny_bundles("documents")  # type: ignore[operator]
    with pytest.raises(ModelFileError, match="does not hold 6 vectors of 99"):
        read_collection(folder / "index.safetensors", folder / "documents.jsonl", width=99)
    (tmp_path / "d.jsonl").write_text('{"id": "d1"}\n')
    with pytest.raises(ModelFileError, match="no document") as caught:
        read_collection(folder / "index.safetensors", tmp_path / "d.jsonl", width=99)
    assert caught.value.place and caught.value.place.line == 1
