"""Several models behind one address: each request names who answers, and all of them share batches."""

import pytest

from tunesmith.bundle.predictor import Predictor
from tunesmith.serve.batcher import Ask
from tunesmith.serve.models import models_in

KINDS = ("label", "entities", "pair")


def test_one_text_or_many_to_one_model_or_several(tiny_desk, running, tiny_bundles):
    _, client, log = running(folder=tiny_desk)
    alone = Predictor.load(tiny_bundles("label")).predict("not good")
    said = client.post("/v1/predict", json={"adapter": "label", "text": "not good"})
    assert said.status_code == 200 and said.json()["adapter"] == "label" and said.json()["model"] == "desk"
    assert said.json()["result"]["label"] == alone.predicted
    assert said.json()["result"]["confidence"] == pytest.approx(alone.confidence, abs=2e-6)
    many = {"adapter": ["entities", "label"], "items": [{"text": "Anna in Rome"}, {"text": "not good"}]}
    answers = client.post("/v1/predict", json=many).json()["adapters"]
    assert list(answers) == ["entities", "label"]
    assert [next(iter(one)) for one in answers["entities"]["results"]] == ["entities", "entities"]
    assert answers["label"]["results"][1]["label"] == alone.predicted
    single = client.post("/v1/predict", json={"adapter": ["label"], "text": "not good"}).json()["adapters"]
    assert single["label"]["result"]["label"] == alone.predicted
    assert '"adapters": ["entities", "label"]' in log.until('"adapters": ["entities", "label"]')


def test_who_names_no_model_or_another_is_told_which_there_are(tiny_desk, running):
    _, client, _ = running(folder=tiny_desk)
    for body in ({"text": "good"}, {"text": "good", "adapter": "mood"}, {"text": "good", "adapter": []}):
        refused = client.post("/v1/predict", json=body)
        assert refused.status_code == 422
        assert "label, entities, pair" in refused.json()["detail"]
        assert refused.json()["errors"][0]["path"] == "adapter"
    assert client.post("/v1/predict", json={"text": "good", "adapter": 3}).status_code == 422
    _, plain, _ = running("label")
    assert plain.post("/v1/predict", json={"text": "good", "adapter": "label"}).status_code == 422


def test_a_text_counts_as_often_as_it_is_read(tiny_desk, running):
    _, client, _ = running(folder=tiny_desk, max_items=3)
    items = [{"text": "good"}, {"text": "bad"}]
    assert client.post("/v1/predict", json={"adapter": "label", "items": items}).status_code == 200
    assert client.post("/v1/predict", json={"adapter": ["label", "entities"], "items": items}).status_code == 413


def test_what_one_model_cannot_read_does_not_fail_another(tiny_desk):
    models = models_in(tiny_desk)
    models.verify()
    models.load()
    models.prove("fp32", batch_tokens=4096)
    from tunesmith.bundle.predictor import as_example

    asks = [Ask(as_example(("good", "not good"), 1), "pair"), Ask(as_example("good", 1), "label")] * 2
    predictions, tokens = models.answer(asks)
    assert [item.pair for item in predictions] == ["not good", None] * 2
    assert tokens[0] == tokens[2] > tokens[1] == tokens[3] > 0


def test_the_description_and_the_metrics_name_the_models(tiny_desk, running):
    _, client, _ = running(folder=tiny_desk)
    client.post("/v1/predict", json={"adapter": ["label", "entities"], "text": "good"})
    about = client.get("/v1/model").json()
    assert (about["name"], about["task"], about["labels"]) == ("desk", None, [])
    assert [one["name"] for one in about["adapters"]] == list(KINDS)
    assert about["adapters"][2]["pairs"] and about["adapters"][0]["examples"] and about["adapters"][0]["version"]
    metrics = client.get("/metrics").text
    assert 'tunesmith_adapter_items_total{adapter="label",model="desk"} 1.0' in metrics
    assert 'tunesmith_requests_total{code="200",model="desk"} 1.0' in metrics
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    assert schemas["PredictRequest"]["properties"]["adapter"]["anyOf"][0]["enum"] == list(KINDS)
    _, plain, _ = running("label")
    schemas = plain.get("/openapi.json").json()["components"]["schemas"]
    assert "adapter" not in schemas["PredictRequest"]["properties"] and "AnswersOfSeveral" not in schemas
    assert plain.get("/v1/model").json()["adapters"] == []
