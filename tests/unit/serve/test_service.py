"""A real server on loopback: true answers, refusals of one shape, and numbers that add up."""

import asyncio
import json
import re
import socket
from pathlib import Path

import httpx
import pytest

from tunesmith.bundle.answers import answer_of
from tunesmith.bundle.opening import load
from tunesmith.bundle.predictor import Predictor
from tunesmith.core.errors import CannotCreateError, MissingInputError, UsageError
from tunesmith.serve.app import POLICIES
from tunesmith.serve.running import Running, bound
from tunesmith.serve.settings import ServeSettings

TEXTS = ["good", "my card was stolen in Beijing", "[SEP] [CLS]", "张三在北京 😀", "a" * 300, "not good " * 30]


def same(served, expected):
    """Equal answers: labels and spans exactly, probabilities to 1e-5."""
    if isinstance(served, dict):
        assert served.keys() == expected.keys()
        for name in served:
            same(served[name], expected[name])
    elif isinstance(served, list):
        assert len(served) == len(expected)
        for one, other in zip(served, expected, strict=True):
            same(one, other)
    elif isinstance(served, float):
        assert served == pytest.approx(expected, abs=1e-5)
    else:
        assert served == expected


@pytest.mark.parametrize("kind", ["entities", "label", "labels", "path"])
def test_a_served_answer_is_the_evaluated_answer_alone_and_in_company(kind, running, tiny_bundles):
    _, client, _ = running(kind, queue_seconds=60.0)  # nobody is turned away where the machine is busy
    expected = [answer_of(item) for item in Predictor.load(tiny_bundles(kind)).predict(TEXTS)]
    for text, answer in zip(TEXTS, expected, strict=True):
        said = client.post("/v1/predict", json={"text": text}).json()
        same(said["result"], answer)
        assert said["model"] == f"tiny {kind}"
    same(client.post("/v1/predict", json={"items": [{"text": t} for t in TEXTS]}).json()["results"], expected)

    async def crowd():
        async with httpx.AsyncClient(base_url=client.base_url, timeout=30) as many:
            return await asyncio.gather(*(many.post("/v1/predict", json={"text": t}) for t in TEXTS * 8))

    for response, answer in zip(asyncio.run(crowd()), expected * 8, strict=True):
        assert response.status_code == 200
        same(response.json()["result"], answer)


def test_a_service_in_bf16_proves_its_rows_in_fp32_and_answers_as_bf16_does(running, tiny_bundles):
    _, client, log = running("label", precision="bf16")
    assert "6 golden rows answered as they were; computing in bf16" in log.until("computing in")
    expected = answer_of(Predictor.load(tiny_bundles("label"), precision="bf16").predict("good"))
    same(client.post("/v1/predict", json={"text": "good"}).json()["result"], expected)


@pytest.mark.parametrize("kind", ["pair", "score", "answer"])
def test_pairs_are_served_and_a_missing_second_text_is_refused(kind, running, tiny_bundles):
    _, client, _ = running(kind)
    expected = answer_of(Predictor.load(tiny_bundles(kind)).predict(("good", "not good")))
    said = client.post("/v1/predict", json={"text": "good", "pair": "not good"}).json()["result"]
    same(said, expected)
    described = client.get("/openapi.json").json()["components"]["schemas"]["Answer"]["properties"]
    assert said.keys() <= described.keys()
    assert client.post("/v1/predict", json={"text": "good"}).status_code == 422


def test_a_search_is_served_with_its_documents(running, tiny_bundles):
    _, client, _ = running("documents")
    expected = answer_of(Predictor.load(tiny_bundles("documents")).predict("not good"))
    found = client.post("/v1/predict", json={"text": "not good"}).json()["result"]["documents"]
    assert [item["id"] for item in found] == [item["id"] for item in expected["documents"]]
    assert client.get("/v1/model").json()["pairs"] is False
    assert client.post("/v1/predict", json={"text": "good", "pair": "a"}).status_code == 422


def test_a_label_is_served_with_its_entities(running, tiny_bundles):
    _, client, _ = running("joint")
    expected = answer_of(Predictor.load(tiny_bundles("joint")).predict("Anna visited Rome"))
    said = client.post("/v1/predict", json={"text": "Anna visited Rome"}).json()["result"]
    assert {"label", "entities", "confidence", "scores"} <= said.keys()
    same(said, expected)
    described = client.get("/openapi.json").json()["components"]["schemas"]["Answer"]["properties"]
    assert said.keys() <= described.keys()
    assert client.get("/v1/model").json()["task"] == "joint_classification"


def test_a_search_is_served_with_its_re_ranker(running, tiny_bundles):
    pairs = tiny_bundles("score")
    _, client, log = running("documents", reranker=pairs, candidates=4, index="faiss")
    expected = answer_of(load(tiny_bundles("documents"), reranker=pairs, candidates=4).predict("not good"))
    answer = client.post("/v1/predict", json={"text": "not good"}).json()
    found = answer["result"]["documents"]
    assert [item["id"] for item in found] == [item["id"] for item in expected["documents"]]
    assert [item["first_score"] for item in found] == pytest.approx(
        [item["first_score"] for item in expected["documents"]], abs=1e-4
    )
    about = client.get("/v1/model").json()
    assert about["reranker"]["name"] == "tiny score"
    assert answer["reranker_version"] == about["reranker"]["version"] != answer["version"]
    said = log.until("golden rows")
    assert "re-ranked by tiny score" in said and "of the first 10 of exact search" in said
    described = client.get("/openapi.json").json()["components"]["schemas"]
    assert "first_score" in described["Answer"]["properties"]["documents"]["items"]["properties"]
    assert "reranker_version" not in described["OneAnswer"]["required"]
    assert running("documents")[1].get("/v1/model").json()["reranker"] is None


def test_a_re_ranker_that_does_not_fit_is_never_served(tiny_bundles):
    settings = ServeSettings(port=0, drain_seconds=0.0, reranker=tiny_bundles("label"))
    service = Running(tiny_bundles("documents"), settings, log=None)
    with pytest.raises(UsageError, match="does not say how well two texts belong together"):
        service.wait()
    with pytest.raises(MissingInputError):
        Running(tiny_bundles("documents"), settings.model_copy(update={"reranker": Path("nowhere")}), log=None)


def test_every_answer_carries_its_request_id_and_safe_headers(running):
    _, client, log = running()
    for given, kept in (("my-id-1", True), ("bad id", False), ("x" * 65, False), ("a\x1b[31m", False), (None, False)):
        headers = {} if given is None else {"X-Request-ID": given}
        for path in ("/livez", "/nowhere", "/"):
            response = client.get(path, headers=headers)
            own = response.headers["x-request-id"]
            assert (own == given) is kept
            assert re.fullmatch("[A-Za-z0-9-]{1,64}", own)
            assert response.headers["x-content-type-options"] == "nosniff"
            assert "server" not in response.headers
    lines = [json.loads(line) for line in log.until(own).splitlines()]
    assert {"/livez", "/", "unknown"} <= {line.get("route") for line in lines}


def test_every_route_has_a_policy_and_protected_ones_ask_for_the_key(running):
    service, client, log = running(keys=["secret"])
    document = client.get("/openapi.json").json()
    assert set(document["paths"]) == set(POLICIES)
    for path, policy in POLICIES.items():
        (described,) = document["paths"][path].values()
        told = {"403", "405", "503"} | ({"401"} if policy == "key" else set())
        assert told <= described["responses"].keys(), path
    for path, policy in POLICIES.items():
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"):
            code = client.request(method, path).status_code
            assert (code == 401) == (policy == "key"), (method, path, code)
    good = {"Authorization": "Bearer secret"}
    body = {"text": "good"}
    assert client.post("/v1/predict", json=body, headers=good).status_code == 200
    assert client.post("/v1/predict", json=body, headers={"X-API-Key": "secret"}).status_code == 200
    refused = client.post("/v1/predict", json=body, headers={"X-API-Key": "wrong"})
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    told = log.until(refused.headers["x-request-id"])
    assert "secret" not in told and "wrong" not in told
    assert service.service.ready


def test_numbers_add_up(running):
    _, client, _ = running()
    codes = [
        *(client.post("/v1/predict", json={"text": text}).status_code for text in TEXTS),
        client.post("/v1/predict", content=b"{").status_code,
        client.post("/v1/predict", json={"text": ""}).status_code,
        client.get("/v1/predict").status_code,
        client.post("/v1/predict", json={"text": "x"}, headers={"Host": "evil"}).status_code,
        client.get("/nowhere/" + "x" * 500).status_code,
    ]
    assert codes[len(TEXTS) :] == [415, 422, 405, 403, 404]
    lines = client.get("/metrics").text.splitlines()
    value = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}
    sent = sum(v for k, v in value.items() if k.startswith("tunesmith_requests_total"))
    rejected = sum(v for k, v in value.items() if k.startswith("tunesmith_rejected_total"))
    accepted = value['tunesmith_requests_total{code="200",model="tiny label"}']
    assert (sent, accepted, rejected) == (len(TEXTS) + 4, len(TEXTS), 4)
    assert value["tunesmith_batch_items_count"] == accepted
    names = {re.split(r"[{ ]", line)[0] for line in lines if not line.startswith("#")}
    bases = {re.sub("_(bucket|count|sum|created)$", "", name) for name in names}
    assert {
        "tunesmith_requests_total",
        "tunesmith_request_duration_seconds",
        "tunesmith_queue_duration_seconds",
        "tunesmith_inference_duration_seconds",
        "tunesmith_queue_items",
        "tunesmith_batch_items",
        "tunesmith_rejected_total",
        "tunesmith_expired_total",
        "tunesmith_model_info",
    } <= bases
    assert not any("nowhere" in line for line in lines), "a path that was sent never becomes a series"


def test_the_log_has_every_field_and_no_text(running):
    _, client, log = running()
    secret = "my very private sentence"
    client.post("/v1/predict", json={"text": secret}, headers={"X-Deadline-Ms": "5000", "X-Request-ID": "abc"})
    client.post("/v1/predict", content=f'{{"text": 3, "{secret}": 1}}', headers={"Content-Type": "application/json"})
    last = client.get(f"/{secret}?q={secret}").headers["x-request-id"]
    told = log.until(last)
    lines = [json.loads(line) for line in told.splitlines()]
    mine = next(line for line in lines if line.get("request_id") == "abc")
    assert {
        *("ts", "level", "request_id", "model", "version", "bundle", "items", "tokens"),
        *("queue_ms", "infer_ms", "code", "key_id", "deadline_ms", "batch_id"),
    } <= mine.keys()
    assert (mine["items"], mine["code"], mine["deadline_ms"]) == (1, 200, 5000)
    assert mine["tokens"] > 3
    assert last in told and "private" not in told
    states = [line["state"] for line in lines if line.get("event") == "state"]
    assert states == ["verifying", "loading", "warming", "ready"]


def test_limits_are_answered_413(running):
    _, client, _ = running(max_items=3, max_characters=50, max_request_characters=100, max_body_bytes=2000)
    for body in (
        {"items": [{"text": "a"}] * 4},
        {"text": "x" * 51},
        {"text": "x" * 26, "pair": "y" * 26},
        {"items": [{"text": "x" * 40}] * 3},
        {"text": "x" * 3000},
    ):
        response = client.post("/v1/predict", json=body)
        assert response.status_code == 413, body
        assert response.json()["request_id"]
    assert client.post("/v1/predict", json={"items": [{"text": "x" * 33}] * 3}).status_code == 200


def test_a_body_without_length_is_cut_off_at_the_limit(running):
    _, client, _ = running(max_body_bytes=1000)

    def endless():
        for _ in range(200):
            yield b"x" * 1000

    try:
        code = client.post("/v1/predict", content=endless(), headers={"Content-Type": "application/json"}).status_code
    except httpx.WriteError:  # the server closed while we were still sending
        code = 413
    assert code == 413
    assert client.get("/livez").status_code == 200


def test_a_body_that_does_not_come_is_answered_408(running):
    service, client, _ = running(body_seconds=0.2)
    host, port = client.base_url.host, client.base_url.port
    with socket.create_connection((host, port), timeout=10) as raw:
        head = ("POST /v1/predict HTTP/1.1", "Host: localhost", "Content-Type: application/json", "Content-Length: 9")
        raw.sendall("\r\n".join((*head, "", "{")).encode())
        assert raw.recv(4096).startswith(b"HTTP/1.1 408")
    assert service.service.ready


def test_the_log_holds_no_word_that_a_client_made_up(running):
    _, client, log = running()
    assert client.request("MEINTEXT", "/livez").status_code == 405
    told = log.until('"method": "other"')
    assert '"method": "other"' in told and "MEINTEXT" not in told


@pytest.mark.parametrize("host", ["a..b", "x" * 70 + ".example"])
def test_a_host_that_is_no_name_is_an_error_with_a_remedy(host):
    with pytest.raises(CannotCreateError) as caught:
        bound(host, 0)
    assert caught.value.fix


@pytest.mark.parametrize(("asked", "shown"), [({}, True), ({"insecure": True}, False), ({"examples": False}, False)])
def test_dev_texts_are_shown_to_whom_the_operator_lets_in(asked, shown, running):
    _, client, _ = running(**asked)
    assert bool(client.get("/v1/model").json()["examples"]) is shown
    again = running(insecure=True, examples=True)[1]
    assert again.get("/v1/model").json()["examples"]
