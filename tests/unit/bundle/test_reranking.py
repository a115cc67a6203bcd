"""A search and a pair model behind it, against reading every pair by hand; what does not fit is refused."""

from dataclasses import replace

import pytest
import torch

from tunesmith.bundle.answers import answer_of
from tunesmith.bundle.opening import load
from tunesmith.bundle.predictor import Predictor
from tunesmith.bundle.read import open_bundle
from tunesmith.bundle.reranking import documents_in, reranker_of
from tunesmith.core.errors import UsageError
from tunesmith.core.prediction import Prediction

QUESTIONS = ["where is my card", "not good", "Anna in Rome"]


@pytest.mark.parametrize(("kind", "relevant"), [("score", None), ("pair", "same")])
def test_the_first_answers_are_ordered_by_what_the_pair_model_says(kind, relevant, tiny_bundles):
    search, pairs = Predictor.load(tiny_bundles("documents")), Predictor.load(tiny_bundles(kind))
    both = load(tiny_bundles("documents"), reranker=tiny_bundles(kind), candidates=5, relevant=relevant)
    wide = Predictor(replace(search.bundle, task=search.bundle.task.giving(5)))
    for question in QUESTIONS:
        near = documents_in(wide.predict(question))
        said = pairs.predict([(question, found.text) for found in near])
        scores = [one.scores[relevant] if relevant else one.predicted for one in said]
        best = sorted(range(5), key=lambda place: -scores[place])[:3]
        found = documents_in(both.predict(question))
        assert [item.id for item in found] == [near[place].id for place in best]
        assert [item.score for item in found] == pytest.approx([scores[place] for place in best], abs=1e-5)
        assert [item.first_score for item in found] == pytest.approx([near[place].score for place in best], abs=1e-5)


def test_an_answer_is_the_same_alone_in_company_and_from_a_stream(tiny_bundles, unlabelled):
    both = load(tiny_bundles("documents"), reranker=tiny_bundles("score"), candidates=6)
    assert both.chunk < 1024, "a question stands for all pairs that are read with it"
    many = [documents_in(said) for said in both.predict(QUESTIONS)]
    for question, found in zip(QUESTIONS, many, strict=True):
        alone = documents_in(both.predict(question))
        assert [item.id for item in alone] == [item.id for item in found]
        assert [item.score for item in alone] == pytest.approx([item.score for item in found], abs=1e-5)
    answered = both.answer(unlabelled(*QUESTIONS))
    assert len(answered.windows) == len(answered.logits) == 3 + 3 * 6
    assert {window.example for window in answered.windows[3:]} == {0, 1, 2}


def test_equal_scores_keep_the_order_of_the_search(tiny_bundles):
    bundle = open_bundle(tiny_bundles("score"))
    for parameter in bundle.model.head.parameters():
        torch.nn.init.zeros_(parameter)
    search = Predictor.load(tiny_bundles("documents"))
    both = Predictor(search.bundle, reranker=reranker_of(bundle))
    for question in QUESTIONS:
        first = [item.id for item in documents_in(search.predict(question))]
        assert [item.id for item in documents_in(both.predict(question))] == first


def test_the_first_score_stands_beside_in_records_and_answers(tiny_bundles):
    said = load(tiny_bundles("documents"), reranker=tiny_bundles("score")).predict("not good")
    assert Prediction.from_record(said.as_record()) == said
    assert [set(item) for item in answer_of(said)["documents"]] == [{"id", "text", "score", "first_score"}] * 3
    alone = load(tiny_bundles("documents")).predict("not good")
    assert all("first_score" not in item for item in alone.as_record()["predicted"])


@pytest.mark.parametrize(
    ("search", "pairs", "changes", "code"),
    [
        ("documents", "documents", {}, "TS-BUNDLE-060"),
        ("documents", "cosine", {}, "TS-BUNDLE-060"),
        ("documents", "label", {}, "TS-BUNDLE-060"),
        ("documents", "pair", {"relevant": "alike"}, "TS-BUNDLE-061"),
        ("documents", "score", {"relevant": "same"}, "TS-BUNDLE-061"),
        ("documents", "pair", {}, "TS-BUNDLE-062"),
        ("score", "score", {}, "TS-BUNDLE-063"),
        ("cosine", "score", {}, "TS-BUNDLE-063"),
        ("documents", "score", {"candidates": 2}, "TS-BUNDLE-064"),
    ],
)
def test_what_does_not_fit_is_refused(search, pairs, changes, code, tiny_bundles):
    with pytest.raises(UsageError) as refused:
        load(tiny_bundles(search), reranker=tiny_bundles(pairs), **changes)
    assert refused.value.code == code and refused.value.fix


def test_plain_labels_need_no_name(tiny_bundles):
    bundle = open_bundle(tiny_bundles("pair"))
    for labels, expected in ((["irrelevant", "relevant"], "relevant"), (["1", "0"], "1"), (["No", "Yes"], "Yes")):
        task = bundle.task.model_copy(update={"labels": labels})
        assert reranker_of(replace(bundle, task=task)).relevant == expected
