"""The routes of the service, each with its policy: a path without one is refused, so none can be opened by accident.

Bodies are read, parsed and answered by our own code: a framework's own parser answers 500 to a lone surrogate or 1e999.
"""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Final, Literal

from tunesmith.core.errors import DataError, MissingExtraError
from tunesmith.serve.batcher import Ask, DeadlinePassed, Overloaded, Served
from tunesmith.serve.guard import Gone, check_content, deadline_of, read_body
from tunesmith.serve.openapi import description
from tunesmith.serve.page import about, playground
from tunesmith.serve.problem import Problem
from tunesmith.serve.service import Service
from tunesmith.serve.telemetry import CONTENT_TYPE, Access, Metrics
from tunesmith.serve.wire import read_request, write_answer

try:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route, Router
    from starlette.types import Receive, Scope, Send
except ImportError:
    raise MissingExtraError(
        "serving needs starlette, which is not installed", code="TS-SERVE-002", fix='pip install "tunesmith[serve]"'
    ) from None

POLICIES: Final[Mapping[str, Literal["public", "key"]]] = {
    "/": "public",
    "/livez": "public",
    "/readyz": "public",
    "/openapi.json": "public",
    "/metrics": "key",
    "/v1/model": "key",
    "/v1/predict": "key",
}
"""Who may ask for a path: everybody, or whoever has a key where keys are set."""
PREDICT: Final = "/v1/predict"


class Endpoints:
    """What each path answers."""

    def __init__(self, service: Service, metrics: Metrics) -> None:
        self._service = service
        self._settings = service.settings
        self._metrics = metrics

    def router(self) -> Router:
        """All routes; unknown paths and methods become problems."""
        handlers = {
            "/": self.page,
            "/livez": self.livez,
            "/readyz": self.readyz,
            "/openapi.json": self.openapi,
            "/metrics": self.metrics,
            "/v1/model": self.model,
        }
        routes = [Route(path, handler, methods=["GET"]) for path, handler in handlers.items()]
        predict = Route(PREDICT, self.predict, methods=["POST"])
        return Router([*routes, predict], redirect_slashes=False, default=_not_found)

    async def page(self, request: Request) -> Response:
        """The playground."""
        return Response(playground(), media_type="text/html")

    async def livez(self, request: Request) -> Response:
        """The process runs."""
        return _json({"status": "live"})

    async def readyz(self, request: Request) -> Response:
        """New traffic should come here: the golden rows were answered as they were, and nobody asked to stop."""
        if not self._service.ready:
            raise Problem(503, f"The model is {self._service.state}.", headers={"Retry-After": "1"}, reason="not_ready")
        return _json({"status": "ready"})

    async def openapi(self, request: Request) -> Response:
        """The description of this interface."""
        return _json(description(self._settings, adapters=self._service.adapters))

    async def metrics(self, request: Request) -> Response:
        """Prometheus text."""
        return Response(self._metrics.exposed(), media_type=CONTENT_TYPE)

    async def model(self, request: Request) -> Response:
        """What the model is and can say."""
        return _json(about(self._service))

    async def predict(self, request: Request) -> Response:
        """One text or many in, their answers out."""
        access: Access = request.scope["tunesmith.access"]
        headers = dict(request.headers)
        check_content(headers)
        access.deadline_ms = deadline_of(headers)
        body = await read_body(
            request.receive, headers, limit=self._settings.max_body_bytes, seconds=self._settings.body_seconds
        )
        wanted = read_request(body, self._settings, adapters=self._service.adapters)
        access.items, access.adapters = len(wanted.asks), wanted.adapters
        access.served = await self._served(wanted.asks, access.deadline_ms, request)
        loaded = self._service.loaded
        assert loaded is not None, "it has just answered"
        answer = write_answer(
            access.served.predictions,
            wanted,
            model=self._service.name,
            version=loaded.version,
            request_id=access.request_id,
            reranker=loaded.reranker.version if loaded.reranker else None,
        )
        timing = f"queue;dur={1000 * access.served.queued:.2f}, model;dur={1000 * access.served.inferred:.2f}"
        return Response(answer, media_type="application/json", headers={"Server-Timing": timing})

    async def _served(self, asks: Sequence[Ask], deadline_ms: int | None, request: Request) -> Served:
        try:
            future = self._service.submit(asks, deadline_ms=deadline_ms)
            return await _waited(future, deadline_ms, request.receive)
        except Overloaded as error:
            ready = self._service.answering
            detail = "More waits than can be answered in time." if ready else f"The model is {self._service.state}."
            reason = "overloaded" if ready else "not_ready"
            raise Problem(503, detail, headers={"Retry-After": str(error.retry_after)}, reason=reason) from None
        except DeadlinePassed:
            raise Problem(504, "The deadline passed before work began.", reason="deadline") from None
        except DataError as error:
            raise Problem(422, f"The model cannot read this: {error.message}.", reason="data") from None


async def _waited(future: "Future[Served]", deadline_ms: int | None, receive: Receive) -> Served:
    """The answer; the request leaves its batch when the deadline passes first or the client goes away."""
    answer = asyncio.wrap_future(future)
    gone = asyncio.ensure_future(_disconnected(receive))
    until = None if deadline_ms is None else time.monotonic() + deadline_ms / 1000
    try:
        while not answer.done():
            left = None if until is None else max(0.0, until - time.monotonic())
            both: set[asyncio.Future[Any]] = {answer, gone}
            await asyncio.wait(both, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if gone.done() and not answer.done():
                raise Gone
            if left == 0.0 and not answer.done():
                if future.cancel():
                    raise DeadlinePassed
                until = None  # the model is at work on it: wait for the answer
        return answer.result()
    finally:
        gone.cancel()
        future.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    raise Problem(404, "There is nothing at this path.")


def _json(record: Mapping[str, Any]) -> Response:
    return Response(json.dumps(record, ensure_ascii=True, allow_nan=False), media_type="application/json")
