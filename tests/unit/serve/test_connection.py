"""What a client may not do with a connection: say nothing, stop half-way, read nothing, or open ever more of them."""

import socket
import time

import httpx
import pytest


def opened(client):
    """A bare connection to the service."""
    return socket.create_connection((client.base_url.host, client.base_url.port), timeout=10)


def read(raw):
    """Head and body of an answer: they may come one by one."""
    got = b""
    while not got.endswith(b"}"):
        part = raw.recv(4096)
        assert part, got
        got += part
    assert got.startswith(b"HTTP/1.1 200")


def settled(service, most):
    """The connections that the server holds, once they are at most so many or ten seconds have passed."""
    until = time.monotonic() + 10
    held = service._server.server_state.connections
    while len(held) > most and time.monotonic() < until:
        time.sleep(0.02)
    return len(held)


@pytest.mark.parametrize("begun", [b"", b"GET /livez HT"])
def test_a_connection_that_does_not_speak_is_closed(running, begun):
    service, client, _ = running(head_seconds=1.0)
    with opened(client) as raw:
        raw.sendall(begun)
        assert raw.recv(4096) == b""
    with opened(client) as raw:
        raw.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        read(raw)
        raw.sendall(b"GET /livez")
        assert raw.recv(4096) == b"", "the second head has a deadline too"
    assert service.service.ready


def test_a_body_that_nobody_asked_for_does_not_hold_the_connection_open(running):
    _, client, _ = running(head_seconds=1.0)
    with opened(client) as raw:
        raw.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n")
        read(raw)
        raw.sendall(b"x")
        assert raw.recv(4096) == b""


def test_a_client_that_does_not_read_its_answers_is_cut_off(running):
    service, client, _ = running(answer_seconds=0.5)
    with opened(client) as raw:
        raw.settimeout(2)
        with pytest.raises(OSError, match=r"timed out|reset|pipe"):
            raw.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 200_000)
        assert settled(service, 0) == 0


def test_more_connections_than_allowed_are_turned_away_and_many_more_are_not_kept(running):
    service, client, log = running(connections=4, head_seconds=60.0)
    assert client.get("/livez").status_code == 200
    held = [opened(client) for _ in range(4)]
    try:
        with httpx.Client(base_url=service.url) as late:
            assert late.get("/livez").status_code == 200, "the process is alive however many ask"
            refused = late.post("/v1/predict", json={"text": "good"})
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert refused.headers["connection"] == "close"
        own = refused.json()["request_id"]
        assert own in log.until(own)
        assert client.get("/readyz").status_code == 200, "who was here before is still served"
        held += [opened(client) for _ in range(30)]
        time.sleep(0.2)
        assert settled(service, 8) <= 8
    finally:
        for one in held:
            one.close()
