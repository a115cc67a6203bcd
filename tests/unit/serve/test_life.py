"""A service under load and at its ends: busy, left alone, asked to stop, damaged, not yet ready."""

import shutil
import threading
import time

import httpx
import pytest

from tunesmith.core.errors import MissingInputError, ModelFileError
from tunesmith.serve.running import Running
from tunesmith.serve.service import State
from tunesmith.serve.settings import ServeSettings


def slowed(service, seconds):
    """Make the model take its time, and say when it has begun."""
    begun = threading.Event()
    honest = service.service.batcher._serve

    def slow(jobs, answer):
        def late(examples):
            begun.set()
            time.sleep(seconds)
            return answer(examples)

        honest(jobs, late)

    service.service.batcher._serve = slow
    return begun


def test_overload_is_answered_503_at_once_and_a_passed_deadline_504(running):
    service, client, _ = running(queue_items=1, batch_items=1)
    begun = slowed(service, 1.0)
    results = {}

    def ask(name, headers=None):
        results[name] = client.post("/v1/predict", json={"text": "good"}, headers=headers or {})

    first = threading.Thread(target=ask, args=("first",))
    first.start()
    assert begun.wait(10)
    second = threading.Thread(target=ask, args=("second", {"X-Deadline-Ms": "100"}))
    second.start()
    while service.service.batcher.waiting == 0:
        time.sleep(0.005)
    started = time.monotonic()
    ask("third")
    assert time.monotonic() - started < 0.5
    second.join(10)
    first.join(10)
    assert results["third"].status_code == 503
    assert int(results["third"].headers["retry-after"]) >= 1
    assert results["second"].status_code == 504
    assert results["first"].status_code == 200
    text = client.get("/metrics").text
    assert "tunesmith_expired_total 1.0" in text
    assert 'tunesmith_rejected_total{reason="overloaded"} 1.0' in text


def test_a_client_that_leaves_takes_its_request_out_of_the_queue(running):
    service, client, log = running(batch_items=1)
    begun = slowed(service, 0.6)
    first = threading.Thread(target=lambda: client.post("/v1/predict", json={"text": "good"}))
    first.start()
    assert begun.wait(10)
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{service.url}/v1/predict", json={"text": "gone"}, timeout=0.2)
    first.join(10)
    assert '"code": 499' in log.until('"code": 499')
    assert 'tunesmith_rejected_total{reason="gone"} 1.0' in client.get("/metrics").text


def test_stopping_finishes_what_was_begun(running):
    service, client, _ = running(drain_seconds=2.0)
    begun = slowed(service, 2.5)
    results = []
    asking = threading.Thread(target=lambda: results.append(client.post("/v1/predict", json={"text": "good"})))
    asking.start()
    assert begun.wait(10)
    service.ask_to_stop()
    stopping = threading.Thread(target=service.wait)
    stopping.start()
    until = time.monotonic() + 5
    while service.service.state is not State.DRAINING and time.monotonic() < until:
        time.sleep(0.01)
    unready = httpx.get(f"{service.url}/readyz")
    assert (unready.status_code, unready.headers["connection"]) == (503, "close")
    assert unready.headers["retry-after"]
    assert httpx.get(f"{service.url}/livez").status_code == 200
    asking.join(20)
    stopping.join(20)
    assert results[0].status_code == 200
    assert service.service.state is State.RETIRED
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{service.url}/livez", timeout=1)


def test_a_damaged_bundle_is_never_served(running, tiny_bundles, tmp_path):
    folder = shutil.copytree(tiny_bundles("label"), tmp_path / "b")
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "model.safetensors").write_bytes(data)
    service, _, log = running(folder=folder, ready=False)
    with pytest.raises(ModelFileError, match=r"model\.safetensors was changed"):
        service.wait()
    assert "refused" in log.until("refused")
    with pytest.raises(MissingInputError):
        Running(tmp_path, ServeSettings(port=0), log=None)


def test_before_it_is_ready_it_says_so(running, monkeypatch):
    from tunesmith.bundle import golden as module

    hold = threading.Event()
    honest = module.prove
    monkeypatch.setattr(module, "prove", lambda predictor: hold.wait(20) and honest(predictor))
    service, client, _ = running(ready=False)
    assert client.get("/livez").status_code == 200
    assert client.get("/readyz").status_code == 503
    refused = client.post("/v1/predict", json={"text": "good"})
    assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
    assert client.get("/v1/model").json()["version"] is None
    hold.set()
    until = time.monotonic() + 20
    while client.get("/readyz").status_code != 200 and time.monotonic() < until:
        time.sleep(0.02)
    assert client.post("/v1/predict", json={"text": "good"}).status_code == 200
    assert service.service.ready
