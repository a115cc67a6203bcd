"""Around every route: request ids, host and key checks, one shape of refusal, safe headers, metrics, the log line."""

import re
import time
import traceback
import uuid
from dataclasses import dataclass
from typing import Any, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tunesmith.serve.app import POLICIES, PREDICT
from tunesmith.serve.connection import CROWDED
from tunesmith.serve.guard import Gone, Keys, check_host, presented_key
from tunesmith.serve.problem import MEDIA_TYPE, Problem, title_of
from tunesmith.serve.service import Service
from tunesmith.serve.telemetry import Access, Log, Metrics

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"))
_CLIENT_GONE: Final = 499
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""The page brings its own policy of hashes besides; together they let nothing in."""
_REASONS: Final = {
    400: "syntax",
    401: "key",
    403: "host",
    405: "method",
    408: "slow_body",
    413: "size",
    415: "type",
    422: "schema",
    _CLIENT_GONE: "gone",
}
"""Why a request to `/v1/predict` was not answered, for `tunesmith_rejected_total`."""


@dataclass(frozen=True, slots=True)
class Door:
    """Who may come in: known keys, and the names the Host header may carry (None: every name)."""

    keys: Keys
    hosts: frozenset[str] | None


class Shell:
    """The outermost application. Nothing that is raised inside leaves it as anything but a problem."""

    def __init__(self, inner: ASGIApp, service: Service, *, door: Door, metrics: Metrics, log: Log | None) -> None:
        self._inner = inner
        self._service = service
        self._door = door
        self._metrics = metrics
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        headers = Headers(scope=scope)
        path = str(scope["path"])
        method = str(scope["method"]) if scope["method"] in _METHODS else "other"
        access = Access(_request_id(headers), method, path if path in POLICIES else "unknown")
        crowded = scope.get("state", {}).get(CROWDED, False)
        answer = _Answer(send, access, closing=crowded or not self._service.ready)
        scope["app"] = self  # with it the router raises its refusals instead of writing its own pages
        scope["tunesmith.access"] = access
        try:
            if crowded and path != "/livez":  # a process that is asked too much is not to be killed for it
                raise Problem(503, "Too many connections are open.", headers={"Retry-After": "1"}, reason="crowded")
            check_host(headers.get("host"), self._door.hosts)
            if POLICIES.get(path, "public") == "key":
                access.key_id = self._door.keys.admit(presented_key(dict(headers)))
            await self._inner(scope, receive, answer.send)
        except Gone:
            access.code = _CLIENT_GONE
        except Exception as error:
            await answer.refuse(_problem(error, access))
        access.seconds = time.perf_counter() - started
        self._tell(access)

    def _tell(self, access: Access) -> None:
        if access.route == PREDICT:
            access.reason = access.reason or _REASONS.get(access.code, "")
            self._metrics.count(access)
        if self._log is not None:
            self._log.request(access)


class _Answer:
    """The way out: adds the headers that every answer has, and remembers its code."""

    def __init__(self, send: Send, access: Access, *, closing: bool) -> None:
        self._send = send
        self._access = access
        self._closing = closing
        self._begun = False

    async def send(self, message: Message) -> None:
        """Pass one message on."""
        if message["type"] == "http.response.start":
            self._begun = True
            self._access.code = int(message["status"])
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
            headers["X-Request-ID"] = self._access.request_id
            if self._closing:
                headers["Connection"] = "close"  # so that a client of a stopping process turns to the next one
        await self._send(message)

    async def refuse(self, problem: Problem) -> None:
        """Answer with a problem, unless an answer is already on its way."""
        self._access.reason = problem.reason
        if self._begun:
            self._access.code = problem.status
            return
        body = problem.body(self._access.request_id)
        headers = {"content-type": MEDIA_TYPE, "content-length": str(len(body))} | problem.headers
        raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": problem.status, "headers": raw})
        await self.send({"type": "http.response.body", "body": b"" if self._access.method == "HEAD" else body})


def _problem(error: Exception, access: Access) -> Problem:
    """What the client is told. For a bug: nothing but the request id, under which the log has its place."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, HTTPException):
        return Problem(error.status_code, f"{title_of(error.status_code)}.", headers=dict(error.headers or {}))
    access.extra = _where(error)
    return Problem(500, "Something went wrong inside; the request id finds it in the log.")


def _where(error: Exception) -> dict[str, Any]:
    """The kind of an error and the line it was raised on: its message could repeat the text."""
    frames = traceback.extract_tb(error.__traceback__)
    last = frames[-1] if frames else None
    return {"error": type(error).__name__, "at": f"{last.filename}:{last.lineno}" if last else "unknown"}


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
