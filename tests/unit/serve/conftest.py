"""A real server on loopback, shared by the tests of the service."""

import io
import time

import httpx
import pytest

from tunesmith.core.errors import ModelFileError
from tunesmith.serve.running import Running
from tunesmith.serve.service import State
from tunesmith.serve.settings import ServeSettings


class Told(io.StringIO):
    """The log of a service. A line is written after its answer has gone out, so whoever reads it waits for it."""

    def until(self, words: str) -> str:
        """The log once `words` stand in it, or after ten seconds without them."""
        end = time.monotonic() + 10
        while words not in self.getvalue() and time.monotonic() < end:
            time.sleep(0.01)
        return self.getvalue()


@pytest.fixture
def running(tiny_bundles):
    """`running(kind="label", **settings)`: a ready service, a client and its log."""
    made = []

    def make(kind="label", *, keys=(), ready=True, folder=None, **settings):
        log = Told()
        limits = ServeSettings(**({"port": 0, "drain_seconds": 0.0} | settings))
        service = Running(folder or tiny_bundles(kind), limits, keys=keys, log=log)
        client = httpx.Client(base_url=service.url, timeout=30)
        made.append((service, client))
        until = time.monotonic() + 60
        while ready and not service.service.ready and time.monotonic() < until:
            time.sleep(0.01)
        return service, client, log

    yield make
    for service, client in made:
        service.ask_to_stop()
        try:
            service.wait()
        except ModelFileError:
            assert service.service.state is State.REFUSED
        client.close()
