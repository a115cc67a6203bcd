"""Hostile bodies: never a crash, never a 5xx, never the value that was sent, always one shape with a request id."""

import json
import time

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tunesmith.serve.problem import Problem
from tunesmith.serve.running import Running
from tunesmith.serve.settings import ServeSettings
from tunesmith.serve.wire import read_request

HOSTILE = {
    "empty": (b"", 400),
    "blank": (b"   ", 400),
    "null": (b"null", 422),
    "number": (b"1", 422),
    "array": (b"[]", 422),
    "string": (b'"text"', 422),
    "nothing": (b"{}", 422),
    "trailing": (b'{"text":"a"} x', 400),
    "nan": (b'{"text":NaN}', 400),
    "infinity": (b'{"text":Infinity}', 400),
    "overflow": (b'{"text":1e999}', 422),
    "digits": (b'{"text":' + b"9" * 5000 + b"}", 422),
    "lone surrogate": (b'{"text":"\\ud800"}', 422),
    "surrogate key": (b'{"\\udc00":"a","text":"a"}', 422),
    "duplicate key": (b'{"text":"a","text":"b"}', 422),
    "bad utf-8": (b'{"text":"\xff"}', 400),
    "utf-16": ('{"text":"a"}'.encode("utf-16"), 400),
    "byte-order mark": (b'\xef\xbb\xbf{"text":"a"}', 400),
    "depth": (b"[" * 100_000, 422),
    "deep object": (b'{"text":' * 20_000, 422),
    "deep value": (b'{"text":' + b"[" * 40 + b"]" * 40 + b"}", 422),
    "wrong type": (b'{"text":3}', 422),
    "list for text": (b'{"text":["a"]}', 422),
    "true": (b'{"text":true}', 422),
    "null text": (b'{"text":null}', 422),
    "blank text": (b'{"text":""}', 422),
    "white text": (b'{"text":" \\u3000\\n"}', 422),
    "extra key": (b'{"text":"a","model":"other"}', 422),
    "both": (b'{"text":"a","items":[]}', 422),
    "no items": (b'{"items":[]}', 422),
    "item is text": (b'{"items":["a"]}', 422),
    "item is null": (b'{"items":[null]}', 422),
    "item without text": (b'{"items":[{"pair":"a"}]}', 422),
    "blank item": (b'{"items":[{"text":"a"},{"text":" "}]}', 422),
    "pair beside items": (b'{"items":[{"text":"a"}],"pair":"b"}', 422),
    "pair for one text": (b'{"text":"a","pair":"b"}', 422),
    "blank pair": (b'{"text":"a","pair":""}', 422),
    "huge": (b'{"text":"' + b"a" * (20 << 20) + b'"}', 413),
    "long": (b'{"text":"' + b"a" * 30_000 + b'"}', 413),
    "many": (json.dumps({"items": [{"text": "a"}] * 65}).encode(), 413),
    "control token": (b'{"text":"[SEP]"}', 200),
    "control characters": (b'{"text":"\\u0000\\u001b[31m"}', 200),
    "right to left": ('{"text":"\u202e\u2066abc"}'.encode(), 200),
    "combining marks": (('{"text":"' + "a" + "\u0301" * 5000 + '"}').encode(), 200),
    "one long word": (b'{"text":"' + b"a" * 9_000 + b'"}', 200),
    "exclamation marks": (b'{"text":"' + b"!" * 9_000 + b'"}', 200),
    "emoji": (json.dumps({"text": "\U0001f600" * 500}).encode(), 200),
    "markup": (b'{"text":"<script>alert(1)</script>"}', 200),
    "escaped pair": (b'{"text":"\\ud83d\\ude00"}', 200),
}


@pytest.fixture(scope="module")
def client(tiny_bundles):
    running = Running(tiny_bundles("entities"), ServeSettings(port=0, drain_seconds=0.0), log=None)
    until = time.monotonic() + 60
    while not running.service.ready and time.monotonic() < until:
        time.sleep(0.01)
    with httpx.Client(base_url=running.url, timeout=30, headers={"Content-Type": "application/json"}) as client:
        yield client
    running.ask_to_stop()
    running.wait()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_body_gets_the_code_it_deserves(name, client):
    body, expected = HOSTILE[name]
    started = time.monotonic()
    try:
        response = client.post("/v1/predict", content=body)
    except (httpx.WriteError, httpx.ReadError):  # closed on us in the middle of twenty megabytes
        assert expected == 413
        return
    assert response.status_code == expected
    assert time.monotonic() - started < 10
    answer = response.json()
    assert answer["request_id"] == response.headers["x-request-id"]
    if expected != 200:
        assert response.headers["content-type"] == "application/problem+json"
        assert {"type", "title", "status", "detail", "request_id"} <= answer.keys()


def test_a_refusal_names_the_path_and_never_the_value(client):
    response = client.post("/v1/predict", json={"items": [{"text": "fine"}, {"text": {"secret": "value"}}]})
    assert response.json()["errors"] == [{"path": "items.1.text", "message": "Input should be a valid string"}]
    assert "secret" not in response.text


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
@pytest.mark.parametrize(
    "path", ["/v1/predict", "/", "//", "/..%2f..%2fetc/passwd", "/v1/predict/", "/%00", "/livez?x=" + "y" * 2000]
)
def test_strange_methods_and_paths_are_never_5xx(method, path, client):
    response = client.request(method, path)
    assert response.status_code < 500
    assert response.headers["x-request-id"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Encoding": "gzip"},
        {"X-Deadline-Ms": "soon"},
        {"Authorization": "Bearer \x80".encode("latin-1").decode("latin-1")},
        {"Host": "evil.example"},
        {"Cookie": "a=b" * 1000},
        {"X-Request-ID": "\x1b[31m"},
    ],
    ids=range(7),
)
def test_strange_headers_are_never_5xx(headers, client):
    response = client.post(
        "/v1/predict", content=b'{"text":"a"}', headers=[(k, v.encode("latin-1")) for k, v in headers.items()]
    )
    assert response.status_code < 500
    assert response.json()["request_id"]


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["text", "pair", "items", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_read_or_refused_with_a_client_error(body):
    try:
        wanted = read_request(body, ServeSettings())
    except Problem as problem:
        assert 400 <= problem.status < 500
        json.loads(problem.body("id"))
    else:
        assert wanted.asks and all(ask.example.text.strip() for ask in wanted.asks)
        assert wanted.single == (json.loads(body).get("items") is None)


def resolved(schema, components):
    return components[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def fits(value, schema, components):
    """A small validator: enough of JSON Schema for the document that the service writes about itself."""
    schema = resolved(schema, components)
    if "anyOf" in schema:
        return any(fits(value, option, components) for option in schema["anyOf"])
    kinds = {
        "string": str,
        "integer": int,
        "number": (int, float),
        "object": dict,
        "array": list,
        "null": type(None),
    } | {"boolean": bool}
    named = schema.get("type", [])
    if named and not any(isinstance(value, kinds[kind]) for kind in ([named] if isinstance(named, str) else named)):
        return False
    if isinstance(value, dict):
        known, extra = schema.get("properties", {}), schema.get("additionalProperties", True)
        inside = all(
            fits(item, known[key], components)
            if key in known
            else extra is True or (extra and fits(item, extra, components))
            for key, item in value.items()
        )
        return inside and set(schema.get("required", ())) <= value.keys()
    if isinstance(value, list):
        return all(fits(item, schema["items"], components) for item in value)
    return not isinstance(value, int | float) or schema.get("minimum", value) <= value <= schema.get("maximum", value)


def test_openapi_tells_the_truth_about_answers_and_refusals(client):
    document = client.get("/openapi.json").json()
    components = document["components"]["schemas"]
    responses = document["paths"]["/v1/predict"]["post"]["responses"]
    asked = [{"text": "my card"}, {"items": [{"text": "good"}, {"text": "not good"}]}, {"text": ""}, {"text": 3}, {}]
    for body in asked:
        response = client.post("/v1/predict", json=body)
        described = responses[str(response.status_code)]["content"]
        media = response.headers["content-type"]
        assert fits(response.json(), described[media]["schema"], components), (body, response.json())
        assert not fits({"other": 1}, described[media]["schema"], components)
    model = client.get("/v1/model").json()
    assert fits(model, components["Model"], components)
    for path in ("/livez", "/readyz"):
        assert fits(client.get(path).json(), components["Status"], components)
    assert fits({"text": "a"}, components["PredictRequest"], components)
